import { createLogger, type Logger } from '../../../daemon/logger.ts';
import type { Outside } from '../../../daemon/outside.ts';
import { definePart, PartList } from '../../../daemon/parts.ts';
import { type Base, defineBase } from '../../../daemon/parts/base.ts';
import { type Core, defineCore } from '../../../daemon/parts/core.ts';
import { defineForget } from '../../../daemon/parts/exchange.ts';
import { defineMarket } from '../../../daemon/parts/market.ts';
import { activePeers } from '../../../daemon/parts/registry.ts';
import { defineRangeReader, defineReplication } from '../../../daemon/parts/replication.ts';
import { defineSearch } from '../../../daemon/parts/search.ts';
import { runningNode } from '../../../daemon/parts/running.ts';
import { defineReading, defineSources } from '../../../daemon/parts/sources.ts';
import { loadSettings } from '../../../daemon/settings.ts';
import { heldPrices } from '../../../daemon/replication-status.ts';
import type { Env } from '../../../protocols/env.ts';
import type { Committed } from '../../../protocols/ledger/types.ts';
import type { PullEvent } from '../../../protocols/mycelium/pull-event.ts';
import type { Identity } from '../../../protocols/wire/identity.ts';
import { Database } from '../../../storage/database.ts';
import { inlinePriceWorker } from '../../support/inline-prices.ts';
import { inlineMergeWorker } from '../../support/inline-merges.ts';
import { inlineReadingWorker } from '../../support/inline-reader.ts';
import type { Disk } from './disk.ts';
import { homeOn } from './home.ts';
import type { Network, VirtualHost } from './network.ts';
import type { Planting } from './plants.ts';
import type { Process } from './time.ts';

export const NET = 'world';

/** Between two tries to reach a registered node that is not connected, milliseconds at least and at most. */
const REDIAL_MS: readonly [number, number] = [1_500, 6_000];
/** More than any reserve asks for. */
const FREE_BYTES = 2 ** 40;

const settings = loadSettings({ DATA_DIR: '/world', MYCELIUM_NETWORK: NET, LOG_LEVEL: 'silent' });
const silent = createLogger(settings);

/** What a node tells the world, which knows everything. */
export interface NodeWatcher {
  committed(committed: Committed): void;
  alarm(kind: string): void;
  exchanged(event: PullEvent): void;
  /** A gossip message was refused as what no honest node can have sent. */
  rejected(from: string): void;
  failed(what: string, error: unknown): void;
}

export interface NodeParts {
  readonly identity: Identity;
  readonly env: Env;
  readonly process: Process;
  readonly disk: Disk;
  readonly network: Network;
  readonly planting: Planting;
  readonly watcher: NodeWatcher;
}

/** One running node, as the world asks it for something. */
export type RunningNode = Awaited<ReturnType<typeof startNode>>;

/** Starts the daemon's own parts over a disk and a network of the world: storage, ledger, replication, market and forgetting. */
export async function startNode(given: NodeParts) {
  const { identity, env, process, planting, watcher } = given;
  const parts = new PartList(env, silent);
  const base = defineBase(parts, { settings, identity, logger: toldTo(watcher), outside: outsideOf(given) });
  watch(base, watcher);
  const core = planted(defineCore(parts, base), planting);
  const host = parts.add(defineVirtualHost(given, core));
  const rangeReader = parts.add(defineRangeReader(base));
  const mycelium = parts.add(defineReplication({ ...base, ...core, host, rangeReader }));
  const ways = { fetch: undefined, policy: undefined, discovery: { face: undefined }, host, mycelium };
  const node = runningNode(base, core, ways);
  const { leftOut, reader } = defineReading(parts, node);
  const search = parts.add(defineSearch(node, leftOut));
  const sources = parts.add(defineSources(node));
  // Who asked for what is written down for people; a world has its chronicle.
  const audited = {
    get face() {
      return { audit: { record: () => undefined }, ledger: node.ledger, committed: base.hooks.committed };
    },
  };
  const replicationStatus = { prices: () => heldPrices(node) };
  const users = { face: { isUser: () => true } };
  const market = defineMarket(parts, node, { reader, search, users, audited, sources, replicationStatus });
  const forget = parts.add(defineForget(node, { reader, search, audited, sources }));
  await parts.start();
  await market.erasures.face.cleared();
  return {
    process,
    env: node.env,
    db: node.db,
    store: node.store,
    reader: reader.face,
    registry: node.registry,
    rejoin: node.rejoin,
    ledger: node.ledger,
    book: market.contracts.face,
    conversations: market.conversations.face,
    erasures: market.erasures.face,
    submission: market.submission.face,
    ratings: market.ratings.face,
    forget: forget.face,
    mycelium: node.mycelium,
    host: host.face,
    mayHold: node.mayHold,
    stop: () => parts.stop(),
  };
}

/** What a node takes from the world in the place of a machine. */
function outsideOf({ env, process, disk }: NodeParts): Outside {
  return {
    env,
    openDatabase: (_, databaseEnv) => Database.openAt(homeOn(disk, process), databaseEnv),
    freeBytes: async () => FREE_BYTES,
    folderBytes: async () => disk.rows.size,
    openSourceKeys: async () => ({ get: () => undefined, set: never, remove: async () => undefined }),
    startMergeWorker: inlineMergeWorker(env, () => mergeDelay(env)),
    startPriceWorker: inlinePriceWorker(env),
    startReadingWorker: inlineReadingWorker(env),
    // Both roads are gone: a world has few frames of more than an entry or two.
    readingLimits: { smallFrame: 512 },
    createHost: never,
    serve: never,
  };
}

function never(): never {
  throw new Error('there is no such thing in a world');
}

/** What a node logs as failed is a failure. */
function toldTo(watcher: NodeWatcher): Logger {
  const told = (fields: unknown, message?: string): void => {
    if (typeof fields === 'object' && fields !== null && 'err' in fields)
      watcher.failed(message ?? '', fields.err);
  };
  return Object.assign(Object.create(silent) as Logger, { warn: told, error: told });
}

function watch({ hooks }: Base, watcher: NodeWatcher): void {
  hooks.committed.on('world', (committed) => watcher.committed(committed));
  hooks.alarmed.on('world', ({ kind }) => watcher.alarm(kind));
  hooks.pulled.on('world', (event) => watcher.exchanged(event));
}

/** The core with the fault that is planted in it, if there is one. */
function planted(core: Core, planting: Planting): Core {
  const { ledger, rejoin, store } = core;
  let made: typeof ledger.face | undefined;
  return {
    ...core,
    ledger: Object.create(ledger, {
      face: { get: () => (made ??= planting.ledger(ledger.face, store.face)) },
    }) as typeof ledger,
    rejoin: Object.create(rejoin, { face: { get: () => planting.rejoin(rejoin.face) } }) as typeof rejoin,
  };
}

/** The node on the network of the world. It tries to reach every registered node that is not connected, as the supervisor does. */
function defineVirtualHost({ identity, env, process, network, watcher }: NodeParts, { registry }: Core) {
  return definePart('network of the world', () => {
    const host = network.host(identity.peerId, {
      process,
      isMember: (peer) => registry.face.isActive(peer),
      onRejected: (from) => watcher.rejected(from),
    });
    redial(env, host, () => activePeers(registry.face));
    return { face: host };
  });
}

function redial(env: Env, host: VirtualHost, active: () => readonly string[]): void {
  const [least, most] = REDIAL_MS;
  for (const peer of active()) if (!host.isConnected(peer)) host.dial(peer);
  env.after(least + env.random() * (most - least), () => redial(env, host, active));
}

/** How long Automerge takes: mostly nothing, now and then longer than anybody waits, or than a first try may take. */
function mergeDelay(env: Env): number {
  const roll = env.random();
  return roll < 0.8
    ? 0
    : roll < 0.95
      ? Math.floor(env.random() * 900)
      : 1500 + Math.floor(env.random() * 6000);
}
