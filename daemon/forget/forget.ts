import type { Forgotten, ForgetPort } from '../../api/ports/forget.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import type { FeedState } from '../../protocols/feed/feed.ts';
import type { Gap } from '../../protocols/feed/gap.ts';
import type { FeedLook } from '../../protocols/ledger/forgetting.ts';
import type { Ledger } from '../../protocols/ledger/types.ts';
import type { HttpNode } from '../../protocols/registry/http-nodes.ts';
import type { NodeStatus } from '../../protocols/registry/node-status.ts';
import type { RegisteredNode } from '../../protocols/registry/registry.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { Database } from '../../storage/database.ts';
import { compactForgotten, sweepLacking } from '../../storage/forgotten.ts';
import type { LegacyTable } from '../../storage/legacy-table.ts';
import type { Store } from '../../storage/store.ts';
import { folderBytes } from '../folder-bytes.ts';
import { evidenceOf, type EvidenceParts } from './evidence.ts';
import { gapRowsOf } from './gap-rows.ts';

export interface ForgetParts extends EvidenceParts {
  readonly db: Database;
  readonly store: Store;
  readonly ledger: Pick<Ledger, 'look' | 'sweep' | 'refound' | 'alone'>;
  readonly registry: { get(id: string): RegisteredNode | undefined };
  readonly httpNodes: { get(id: string): HttpNode | undefined };
  readonly legacy: Pick<LegacyTable, 'counts' | 'remove'>;
  /** Told of what has gone: what a pull noted of this source says nothing any more. */
  readonly onForgotten: (forgotten: Forgotten) => Promise<void>;
  readonly log: (message: string, fields: Record<string, unknown>) => void;
  readonly now: () => number;
}

/** Drops what revoked nodes left, one at a time. */
export interface Forget extends ForgetPort {
  /** Resolves when nothing is under way, also of what an earlier process has begun. */
  settled(): Promise<void>;
  stop(): Promise<void>;
}

type Progress = (done: number, total: number) => void;

/** Opens it, and goes on with what an earlier process has not finished. */
export async function openForget(parts: ForgetParts): Promise<Forget> {
  const { db, store, ledger } = parts;
  const stopping = new AbortController();
  let lane: Promise<unknown> = Promise.resolve();
  let running = false;

  function revoked(id: string): RegisteredNode | HttpNode {
    const node = parts.registry.get(id) ?? parts.httpNodes.get(id);
    if (node === undefined) throw new AgrinetError('node-unknown', `no node ${id} is registered here`);
    if (node.status !== 'revoked') throw notRevoked(id, node.status);
    return node;
  }

  async function looks(author: PeerId, onProgress: Progress): Promise<FeedLook[]> {
    const kept = await evidenceOf(parts, author);
    const feeds = feedsOf(store, author).filter(({ seq }) => seq > 0);
    const total = feeds.reduce((sum, { seq }) => sum + seq, 0);
    let done = 0;
    const found: FeedLook[] = [];
    for (const feed of feeds) {
      const onEntry = (): void => onProgress(++done, total);
      found.push(await ledger.look(feed, (key) => kept.has(key), onEntry, stopping.signal));
    }
    return found;
  }

  async function plan(id: string, onProgress: Progress): Promise<{ totals: Forgotten; gaps: Gap[] }> {
    const node = revoked(id);
    if (!('peerId' in node)) {
      const items = Object.values(await parts.legacy.counts(id)).reduce((sum, count) => sum + count, 0);
      return { totals: { ...nothing(id), items }, gaps: [] };
    }
    const all = await looks(node.peerId, onProgress);
    const at = parts.now();
    // A feed of which every op stays is no gap.
    const gaps = all.filter(({ ops, entries }) => ops + entries > 0).map((look) => gapOf(store, look, at));
    return { totals: all.reduce(added, nothing(id)), gaps };
  }

  async function finish(author: string, onProgress: Progress): Promise<void> {
    const gaps = store.gaps.all().filter((gap) => gap.author === author);
    const total = gaps.reduce((sum, { seq }) => sum + seq, 0);
    let done = 0;
    for (const gap of gaps) await ledger.sweep(gap, () => onProgress(++done, total), stopping.signal);
    for (const gap of gaps) await ledger.refound(gap);
    await ledger.alone(() => sweepLacking(db));
    await compactForgotten(db, gaps, (n, of) => onProgress(total + n, total + of));
    await store.forgotten();
  }

  async function forget(id: string, onProgress: Progress): Promise<Forgotten> {
    const before = await folderBytes(db.folder);
    const { totals, gaps } = await plan(id, onProgress);
    if (totals.items > 0) await parts.legacy.remove(id);
    await ledger.alone(async () => {
      revoked(id); // still
      await store.forget(gaps, id);
    });
    await finish(id, onProgress);
    const freedBytes = Math.max(0, before - (await folderBytes(db.folder)));
    const forgotten = { ...totals, freedBytes };
    await parts.onForgotten(forgotten);
    return forgotten;
  }

  /** What has gone is told of all that is lacking now: what the process that began it has counted is not known any more. */
  async function resume(id: string): Promise<void> {
    await finish(id, () => undefined);
    const [row] = gapRowsOf(store).filter((each) => each.id === id);
    const { entries = 0, keptEntries = 0 } = row ?? {};
    await parts.onForgotten({ ...nothing(id), entries, keptEntries });
  }

  const unfinished = store.gaps.sweeping;
  if (unfinished !== undefined)
    lane = resume(unfinished).catch((error: unknown) => {
      if (!stopping.signal.aborted)
        parts.log('a node is not forgotten yet; run again: agrinet forget', { node: unfinished, err: error });
    });

  return {
    check: (id) => void revoked(id),
    look: async (id, onProgress) => (await plan(id, onProgress)).totals,
    async run(id, onProgress) {
      revoked(id);
      if (running) throw new AgrinetError('busy', 'a node is being forgotten; try again when that is done');
      running = true;
      const done = lane.then(() => forget(id, onProgress));
      lane = done.catch(() => undefined); // told to whoever asked
      return done.finally(() => {
        running = false;
      });
    },
    gaps: () => gapRowsOf(store),
    async settled() {
      await lane;
    },
    async stop() {
      stopping.abort();
      await lane;
    },
  };
}

function feedsOf(store: Pick<Store, 'feedGroups'>, author: PeerId): readonly FeedState[] {
  return store.feedGroups().flatMap((group) => (group.author === author ? group.feeds : []));
}

function gapOf(store: Pick<Store, 'gap'>, { feed, kept }: FeedLook, at: number): Gap {
  const { no, author, channel, epoch, seq } = feed;
  return { no, author, channel, epoch, at, seq: Math.max(seq, store.gap(no)?.seq ?? 0), kept };
}

const nothing = (id: string): Forgotten => ({
  id,
  entries: 0,
  bytes: 0,
  ops: 0,
  keptEntries: 0,
  keptBytes: 0,
  items: 0,
  freedBytes: 0,
});

function added(sum: Forgotten, { entries, bytes, ops, keptBytes, kept }: FeedLook): Forgotten {
  return {
    ...sum,
    entries: sum.entries + entries,
    bytes: sum.bytes + bytes,
    ops: sum.ops + ops,
    keptEntries: sum.keptEntries + kept.size,
    keptBytes: sum.keptBytes + keptBytes,
  };
}

function notRevoked(id: string, status: NodeStatus): AgrinetError {
  return new AgrinetError(
    'node-state',
    `this node is ${status}: only what a revoked one left can be forgotten. First: agrinet nodes revoke ${id}`,
  );
}
