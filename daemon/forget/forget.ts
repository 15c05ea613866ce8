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
import type { SearchIndex } from '../../storage/search/search-index.ts';
import { compactForgotten, sweepAwaiting } from '../../storage/forgotten.ts';
import { FetchedTable } from '../../storage/fetched-table.ts';
import { purgeGone } from '../../storage/purge.ts';
import type { LegacyTable } from '../../storage/legacy-table.ts';
import type { Store } from '../../storage/store.ts';
import type { EventLog } from '../events/event-log.ts';
import { evidenceOf, type EvidenceParts } from './evidence.ts';
import { gapRowsOf } from './gap-rows.ts';

export interface ForgetParts extends EvidenceParts {
  readonly db: Database;
  readonly store: Store;
  readonly ledger: Pick<Ledger, 'look' | 'sweep' | 'refound' | 'alone'>;
  readonly registry: { get(id: string): RegisteredNode | undefined };
  readonly httpNodes: { get(id: string): HttpNode | undefined };
  readonly legacy: Pick<LegacyTable, 'counts' | 'remove'>;
  readonly events: Pick<EventLog, 'forget'>;
  readonly search: Pick<SearchIndex, 'sweep'>;
  /** The size of the database on disk. */
  readonly folderBytes: () => Promise<number>;
  /** Called for what is gone: the state of pulls from this source is outdated. */
  readonly onForgotten: (forgotten: Forgotten) => Promise<void>;
  readonly log: (message: string, fields: Record<string, unknown>) => void;
  readonly now: () => number;
  /** For what cannot be undone: a clock that was wrong for a minute drops nothing. */
  readonly cautious: () => number;
}

/** What would be removed, as far as the author's feeds reached when they were examined. */
interface Plan {
  readonly totals: Forgotten;
  readonly gaps: readonly Gap[];
  readonly heads: ReadonlyMap<number, number>;
}

type Progress = (done: number, total: number) => void;

/** Drops what revoked nodes left, one at a time. */
export class Forget implements ForgetPort {
  readonly #parts: ForgetParts;
  readonly #stopping = new AbortController();
  #running: Promise<unknown> = Promise.resolve();
  #busy = false;

  constructor(parts: ForgetParts) {
    this.#parts = parts;
    const unfinished = parts.store.gaps.sweeping;
    if (unfinished === undefined) return;
    this.#running = this.#resume(unfinished).catch((error: unknown) => {
      if (!this.#stopping.signal.aborted)
        parts.log('a node is not forgotten yet; run again: agrinet forget', { node: unfinished, err: error });
    });
  }

  check(id: string): void {
    this.#revoked(id);
  }

  async look(id: string, onProgress: Progress): Promise<Forgotten> {
    return (await this.#plan(id, onProgress)).totals;
  }

  async run(id: string, onProgress: Progress): Promise<Forgotten> {
    this.#revoked(id);
    if (this.#busy)
      throw new AgrinetError('busy', 'a node is already being forgotten; try again when that is finished');
    this.#busy = true;
    const done = this.#running.then(() => this.#forget(id, onProgress));
    this.#running = done.catch(() => undefined); // told to whoever asked
    return done.finally(() => (this.#busy = false));
  }

  gaps(): ReturnType<ForgetPort['gaps']> {
    return gapRowsOf(this.#parts.store);
  }

  /** Resolves when nothing is under way, also of what an earlier process has begun. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  #revoked(id: string): RegisteredNode | HttpNode {
    const node = this.#parts.registry.get(id) ?? this.#parts.httpNodes.get(id);
    if (node === undefined) throw new AgrinetError('node-unknown', `no node ${id} is registered here`);
    if (node.status !== 'revoked') throw notRevoked(id, node.status);
    return node;
  }

  async #looks(author: PeerId, onProgress: Progress): Promise<FeedLook[]> {
    const { store, ledger } = this.#parts;
    const kept = await evidenceOf(this.#parts, author);
    const feeds = feedsOf(store, author).filter(({ seq }) => seq > 0);
    const total = feeds.reduce((sum, { seq }) => sum + seq, 0);
    let done = 0;
    const found: FeedLook[] = [];
    for (const feed of feeds) {
      const onEntry = (): void => onProgress(++done, total);
      found.push(await ledger.look(feed, (key) => kept.has(key), onEntry, this.#stopping.signal));
    }
    return found;
  }

  async #plan(id: string, onProgress: Progress): Promise<Plan> {
    const { store, legacy, now } = this.#parts;
    const node = this.#revoked(id);
    if (!('peerId' in node)) {
      const items = Object.values(await legacy.counts(id)).reduce((sum, count) => sum + count, 0);
      return { totals: { ...nothing(id), items }, gaps: [], heads: new Map() };
    }
    const all = await this.#looks(node.peerId, onProgress);
    const at = now();
    // A feed of which every op is kept is not a gap.
    const gaps = all.filter(({ ops, entries }) => ops + entries > 0).map((look) => gapOf(store, look, at));
    const heads = new Map(all.map(({ feed }) => [feed.no, feed.seq]));
    return { totals: all.reduce(added, nothing(id)), gaps, heads };
  }

  async #forget(id: string, onProgress: Progress): Promise<Forgotten> {
    const { store, ledger, legacy, folderBytes, onForgotten } = this.#parts;
    const before = await folderBytes();
    let plan = await this.#plan(id, onProgress);
    for (let isNoted = false; !isNoted;) {
      await ledger.alone(async () => {
        this.#revoked(id); // still
        isNoted = isAsLookedAt(store, id, plan);
        if (isNoted) await store.forget(plan.gaps, id);
      });
      // What was admitted before the node was revoked may have been written since: nothing more is admitted.
      if (!isNoted) plan = await this.#plan(id, onProgress);
    }
    const { totals } = plan;
    if (totals.items > 0) await legacy.remove(id);
    await this.#finish(id, onProgress);
    const freedBytes = Math.max(0, before - (await folderBytes()));
    const forgotten = { ...totals, freedBytes };
    await onForgotten(forgotten);
    return forgotten;
  }

  async #finish(author: string, onProgress: Progress): Promise<void> {
    const { self, db, store, ledger, events, search, cautious } = this.#parts;
    const gaps = store.gaps.all().filter((gap) => gap.author === author);
    const total = gaps.reduce((sum, { seq }) => sum + seq, 0);
    let done = 0;
    for (const gap of gaps) await ledger.sweep(gap, () => onProgress(++done, total), this.#stopping.signal);
    for (const gap of gaps) await ledger.refound(gap);
    await ledger.alone(() => sweepAwaiting(db));
    // First what may still be written, then what is.
    await events.forget([`${author}.`]);
    await search.sweep([author]);
    await store.attachments.collect(self, cautious());
    await new FetchedTable(db).dropAll(author);
    for (const peer of new Set(gaps.map((gap) => gap.author))) {
      await store.floors.clean(peer);
      await purgeGone(db, peer);
    }
    await compactForgotten(db, gaps, (n, of) => onProgress(total + n, total + of));
    await store.forgotten();
  }

  /** Everything missing now is reported: what the process that began it has counted is no longer known. */
  async #resume(id: string): Promise<void> {
    await this.#finish(id, () => undefined);
    const [row] = gapRowsOf(this.#parts.store).filter((each) => each.id === id);
    const { entries = 0, keptEntries = 0 } = row ?? {};
    await this.#parts.onForgotten({ ...nothing(id), entries, keptEntries });
  }
}

function feedsOf(store: Pick<Store, 'feedGroups'>, author: string): readonly FeedState[] {
  return store.feedGroups().flatMap((group) => (group.author === author ? group.feeds : []));
}

function isAsLookedAt(store: Pick<Store, 'feedGroups'>, author: string, { heads }: Plan): boolean {
  return feedsOf(store, author).every(({ no, seq }) => seq === (heads.get(no) ?? 0));
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
    `this node is ${status}: only a revoked node can be forgotten. Run first: agrinet nodes revoke ${id}`,
  );
}
