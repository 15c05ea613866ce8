import type { CheckpointsPort } from '../../api/ports/checkpoints.ts';
import type { Ledger } from '../../protocols/ledger/types.ts';
import { Lazy } from '../../protocols/lazy.ts';
import type { Checkpoints } from '../checkpoint/checkpoints.ts';
import { definePart, type Face } from '../parts.ts';
import { type ReachWatch, startReachWatch } from '../reach/reach-watch.ts';
import { Scrub } from '../scrub/scrub.ts';
import type { Node } from './running.ts';
import type { Search } from './search.ts';
import type { Sources } from './sources.ts';

/** Whether registered nodes are reached, over whatever. */
export function defineReach(
  node: Pick<Node, 'settings' | 'env' | 'fetch' | 'registry' | 'host' | 'discovery' | 'logger'>,
  sources: Face<Pick<Sources, 'httpNodes'>>,
) {
  return definePart<ReachWatch>('reach watch', () => {
    const { settings, env, fetch, registry, host, discovery, logger } = node;
    const reach = startReachWatch({
      network: settings.myceliumNetwork,
      fetch,
      registry,
      httpNodes: sources.face.httpNodes,
      connected: () => new Set(host.libp2p.getPeers().map(String)),
      log: (message, fields) =>
        message === 'peer lost' ? logger.warn(fields, message) : logger.info(fields, message),
      onBack: (id) => discovery.dialNow(id),
      env,
    });
    return { face: reach, stop: () => reach.stop() };
  });
}

/** Reads everything that is held, repeatedly, and recreates what is damaged. */
export function defineScrub(
  node: Pick<
    Node,
    'identity' | 'clock' | 'db' | 'store' | 'merges' | 'ledger' | 'hooks' | 'alarms' | 'env' | 'logger'
  >,
  search: Face<Search>,
) {
  return definePart<Scrub>('scrub', () => {
    const { identity, clock, db, store, merges, ledger, hooks, alarms, env, logger } = node;
    const scrub = new Scrub({
      db,
      store,
      merges,
      search: search.face.index,
      async checkAttachments(wrong, pace) {
        const { checkAttachments } = await import('../../storage/attachment-check.ts');
        const parts = { db, table: store.attachments, self: identity.peerId, now: clock.cautious };
        await checkAttachments(parts, wrong, pace);
      },
      alone: (work) => ledger.alone(work),
      onRepaired: hooks.repaired.emit,
      onWrong: ({ table }, repaired) =>
        alarms.raise({ kind: repaired ? 'rows-repaired' : 'entries-damaged', table }),
      log: (message, fields) => logger.error(fields, message),
      env,
    });
    scrub.start();
    return { face: scrub, stop: () => scrub.stop() };
  });
}

/** Checkpoints, as others use them; what makes them is loaded when one is looked at first. */
export interface RunningCheckpoints extends CheckpointsPort {
  /** Makes one when one is due, and verifies those of others. */
  look(): Promise<void>;
  counts(): ReadonlyMap<string, number>;
}

type CheckpointNode = Pick<
  Node,
  | 'identity'
  | 'settings'
  | 'store'
  | 'db'
  | 'registry'
  | 'rejoin'
  | 'events'
  | 'hooks'
  | 'alarms'
  | 'clock'
  | 'env'
  | 'logger'
>;

/** Signs what this node's records amount to, and verifies what others have signed. */
export function defineCheckpoints(
  node: CheckpointNode,
  audited: Face<{ readonly ledger: Pick<Ledger, 'write' | 'raise'> }>,
) {
  return definePart<RunningCheckpoints>('checkpoints', () => {
    let running: Checkpoints | undefined;
    const opened = new Lazy(async () => (running = await openCheckpoints(node, audited)));
    // What was not loaded has not begun anything that a commit could change.
    node.hooks.committed.on('checkpoints', (committed) => running?.committed(committed));
    return {
      face: {
        look: async () => (await opened.get()).look(),
        status: async () => (await opened.get()).status(),
        plan: async (onProgress) => (await opened.get()).plan(onProgress),
        make: async (onProgress) => (await opened.get()).make(onProgress),
        counts: () => running?.counts() ?? new Map<string, number>(),
      },
      async stop() {
        if (opened.isAsked) await opened.get().catch(() => undefined);
        await running?.stop();
      },
    };
  });
}

async function openCheckpoints(
  { identity, settings, store, db, registry, rejoin, events, alarms, clock, env, logger }: CheckpointNode,
  audited: Face<{ readonly ledger: Pick<Ledger, 'write' | 'raise'> }>,
): Promise<Checkpoints> {
  const [{ Checkpoints }, { CHECKPOINT_TIMES }] = await Promise.all([
    import('../checkpoint/checkpoints.ts'),
    import('../checkpoint/limits.ts'),
  ]);
  return new Checkpoints({
    identity,
    net: settings.myceliumNetwork,
    store,
    db,
    ledger: audited.face.ledger,
    awaitFence: () => rejoin.awaitFence(),
    isKeyElsewhere: () => alarms.list().some(({ kind }) => kind === 'own-key-elsewhere'),
    everyDays: settings.checkpointDays,
    followed: () =>
      registry
        .list()
        .filter((each) => each.status === 'active')
        .map(({ peerId }) => peerId),
    onFalse: ({ author, id }) => alarms.raise({ kind: 'checkpoint-false', author, id }),
    onEvent: (event) => events.emit('federation.checkpoint', { ...event }, { operatorOnly: true }),
    log: (message, fields) => logger.info(fields, message),
    now: clock.now,
    env,
    times: CHECKPOINT_TIMES,
  });
}
