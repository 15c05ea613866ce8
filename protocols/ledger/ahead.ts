import type { Entry } from '../feed/entry.ts';
import { feedId, type FeedState } from '../feed/feed.ts';
import type { ForkProof } from '../feed/fork.ts';
import type { Gap } from '../feed/gap.ts';
import type { Usage } from '../feed/quota.ts';
import type { Floor } from '../open-dialog/floor.ts';
import type { OpRef, RecordState } from '../open-dialog/record.ts';
import type { PeerId } from '../wire/identity.ts';
import type { Channel, RecordKey } from '../wire/ids.ts';
import type { Commit, FloorsToCome, HandedOver, LedgerStore } from './ports.ts';
import type { Turn } from './turn.ts';

/** Commits that may be on their way to the disk: one that is written, and one that is made meanwhile. */
export const ON_THE_WAY = 2;

/** What a commit in flight will have changed. */
interface Coming {
  readonly feeds: ReadonlyMap<string, FeedState>;
  readonly entries: ReadonlyMap<string, Entry>;
  readonly records: ReadonlyMap<RecordKey, RecordState>;
  readonly written: Promise<void>;
  /** Failures of commits before it got its place: one more, and it will not be. */
  readonly since: number;
}

/**
 * The store as it will be when all commits in flight are on disk: the ledger drafts and evaluates on top of it, while readers see
 * only what is written. When a commit fails, all commits built on it fail too. Whatever is not found here in the commits in flight
 * is read from the store.
 */
export class Ahead implements LedgerStore {
  readonly #store: LedgerStore;
  #coming: Coming[] = [];

  constructor(store: LedgerStore) {
    this.#store = store;
  }

  get failures(): number {
    return this.#store.failures;
  }

  get hasRoom(): boolean {
    return this.#coming.length < ON_THE_WAY;
  }

  /** Resolves when all that was handed over is on the disk; rejects when some of it failed. */
  async landed(): Promise<void> {
    await Promise.all(this.#coming.map(({ written }) => written));
  }

  feeds(author: PeerId, channel: Channel): readonly FeedState[] {
    const feeds = new Map(this.#store.feeds(author, channel).map((feed) => [feedId(feed), feed]));
    for (const coming of this.#inFlight())
      for (const [id, feed] of coming.feeds)
        if (feed.author === author && feed.channel === channel) feeds.set(id, feed);
    return [...feeds.values()];
  }

  feed(author: PeerId, channel: Channel, epoch: string): FeedState | undefined {
    const id = feedId({ author, channel, epoch });
    return this.#newest(({ feeds }) => feeds.get(id)) ?? this.#store.feed(author, channel, epoch);
  }

  async entry(feedNo: number, seq: number): Promise<Entry | undefined> {
    const id = `${feedNo} ${seq}`;
    return this.#newest(({ entries }) => entries.get(id)) ?? (await this.#store.entry(feedNo, seq));
  }

  async records(keys: readonly RecordKey[], turn?: Turn): Promise<(RecordState | undefined)[]> {
    const coming = keys.map((key) => this.#newest(({ records }) => records.get(key)));
    const stored = keys.filter((_, i) => coming[i] === undefined);
    if (stored.length === 0) return coming;
    const read = (await this.#store.records(stored, turn)).values();
    return coming.map((state) => state ?? read.next().value);
  }

  #newest<T>(of: (coming: Coming) => T | undefined): T | undefined {
    for (const coming of this.#inFlight().toReversed()) {
      const found = of(coming);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Commits on their way that no failure has taken along. */
  #inFlight(): readonly Coming[] {
    return this.#coming.filter(({ since }) => since === this.failures);
  }

  feedGroups(): ReturnType<LedgerStore['feedGroups']> {
    return this.#store.feedGroups();
  }

  nextFeedNo(): number {
    return this.#store.nextFeedNo();
  }

  async *entriesFrom(feedNo: number, from: number, to: number): AsyncGenerator<Uint8Array> {
    await this.landed();
    yield* this.#store.entriesFrom(feedNo, from, to);
  }

  async hasOps(...what: Parameters<LedgerStore['hasOps']>): Promise<boolean> {
    await this.landed();
    return this.#store.hasOps(...what);
  }

  async listed(refs: readonly OpRef[]): Promise<boolean[]> {
    await this.landed();
    return this.#store.listed(refs);
  }

  async recordRefs(key: RecordKey, turn?: Turn): Promise<OpRef[]> {
    await this.landed();
    return this.#store.recordRefs(key, turn);
  }

  nextOpNo(): number {
    return this.#store.nextOpNo();
  }

  async opFeeds(key: RecordKey): Promise<FeedState[]> {
    await this.landed();
    return this.#store.opFeeds(key);
  }

  async opPlaces(...what: Parameters<LedgerStore['opPlaces']>): ReturnType<LedgerStore['opPlaces']> {
    await this.landed();
    return this.#store.opPlaces(...what);
  }

  async opAt(...what: Parameters<LedgerStore['opAt']>): ReturnType<LedgerStore['opAt']> {
    await this.landed();
    return this.#store.opAt(...what);
  }

  async past(...what: Parameters<LedgerStore['past']>): ReturnType<LedgerStore['past']> {
    await this.landed();
    return this.#store.past(...what);
  }

  async covered(...what: Parameters<LedgerStore['covered']>): ReturnType<LedgerStore['covered']> {
    await this.landed();
    return this.#store.covered(...what);
  }

  async keepPast(...what: Parameters<LedgerStore['keepPast']>): Promise<void> {
    await this.landed();
    await this.#store.keepPast(...what);
  }

  async awaiting(...what: Parameters<LedgerStore['awaiting']>): Promise<RecordKey[]> {
    await this.landed();
    return this.#store.awaiting(...what);
  }

  /** Commits that change proofs, erasures, floors or gaps are waited for before anything else continues, so these are as stored. */
  proof(feedNo: number): Promise<ForkProof | undefined> {
    return this.#store.proof(feedNo);
  }

  erasures(...what: Parameters<LedgerStore['erasures']>): ReturnType<LedgerStore['erasures']> {
    return this.#store.erasures(...what);
  }

  floor(key: RecordKey): Promise<Floor | undefined> {
    return this.#store.floor(key);
  }

  coverOf(...what: Parameters<LedgerStore['coverOf']>): number {
    return this.#store.coverOf(...what);
  }

  floorsToCome(owner: PeerId): FloorsToCome | undefined {
    return this.#store.floorsToCome(owner);
  }

  comingFloors(): PeerId[] {
    return this.#store.comingFloors();
  }

  gap(feedNo: number): Gap | undefined {
    return this.#store.gap(feedNo);
  }

  usageOf(author: PeerId): Usage {
    return this.#store.usageOf(author);
  }

  /** Waits for room. A commit that does more than add entries comes when all before it are written, and nothing is made before it is. */
  async handOver(commit: Commit, turn: Turn, since: number): Promise<HandedOver> {
    const adds = this.#onlyAdds(commit);
    if (!adds) await turn.away(() => this.landed());
    for (let [first] = this.#coming; !this.hasRoom && first !== undefined; [first] = this.#coming)
      await turn.away(() => first.written);
    const { written } = await this.#store.handOver(commit, turn, since);
    const coming: Coming = {
      feeds: new Map(commit.feeds.map((feed) => [feedId(feed), feed])),
      entries: new Map(commit.entries.map(({ feed, entry }) => [`${feed.no} ${entry.header.seq}`, entry])),
      records: new Map(commit.records.map(({ key, after }) => [key, after])),
      written,
      since,
    };
    this.#coming.push(coming);
    const gone = (): void => {
      this.#coming = this.#coming.filter((other) => other !== coming);
    };
    const ended = written.then(gone, gone);
    if (!adds) await ended;
    return { written };
  }

  /** Whether it changes nothing already stored except records and how far feeds are held. */
  #onlyAdds({ entries, feeds, verdicts, proofs, erasures, erased, dropped, floors }: Commit): boolean {
    if (dropped !== undefined || floors !== undefined || proofs.length + erasures.length + erased.length > 0)
      return false;
    if (feeds.some(({ no }) => this.gap(no) !== undefined)) return false;
    const places = new Set(entries.map(({ feed, entry }) => `${feedId(feed)} ${entry.header.seq}`));
    return verdicts.every(({ ref }) => places.has(`${feedId(ref)} ${ref.seq}`));
  }
}
