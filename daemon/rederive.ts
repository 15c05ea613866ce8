import type { Entry } from '../protocols/feed/entry.ts';
import { Effects, FACTS_AT_ONCE } from '../protocols/ledger/effects.ts';
import { collectionOf } from '../protocols/open-dialog/schema.ts';
import type { PeerId } from '../protocols/wire/identity.ts';
import type { RecordKey } from '../protocols/wire/ids.ts';
import type { TurnEnv } from '../protocols/cpu-slice.ts';
import { soleTurn, type Turn } from '../protocols/ledger/turn.ts';
import type { Merges } from '../protocols/open-dialog/merger.ts';
import type { Store } from '../storage/store.ts';
import type { Survey } from './feed-survey.ts';
import { opsInEffect } from './gap-survey.ts';

const OPS_PER_COMMIT = 2000;
const RECORDS_PER_COMMIT = 256;

/** Derives the records of all entries that hold, into a store that has none yet. */
export async function rederive(
  store: Store,
  merges: Merges,
  env: TurnEnv,
  survey: Pick<Survey, 'feeds' | 'kept'>,
  onEntry: (done: number) => void,
): Promise<{ entries: number; records: number }> {
  const derivation = new Derivation(store, merges, soleTurn(env));
  let entries = 0;
  const take = async (entry: Entry, wanted?: ReadonlySet<number>): Promise<void> => {
    await derivation.take(entry, wanted);
    onEntry(++entries);
  };
  for (const feed of survey.feeds) {
    const last = feed.fork === undefined ? feed.seq : Math.min(feed.seq, feed.fork.seq - 1);
    for await (const entry of store.wholeEntries(feed.no, 1, last)) await take(entry);
  }
  for (const { no, seq } of survey.kept) {
    const [feed, entry] = [store.feedNumbered(no), await store.entry(no, seq)];
    if (feed === undefined || entry === undefined) continue;
    await take(entry, new Set(opsInEffect(feed, store.gap(no), entry).map(({ index }) => index)));
  }
  await derivation.flush();
  for (const owner of store.floors.owners()) await derivation.floored(owner);
  return { entries, records: derivation.records };
}

/** Commits of so many ops each, one after another. */
class Derivation {
  readonly #store: Store;
  readonly #merges: Merges;
  readonly #turn: Turn;
  #effects: Effects;
  #ops = 0;
  records = 0;

  constructor(store: Store, merges: Merges, turn: Turn) {
    this.#store = store;
    this.#merges = merges;
    this.#turn = turn;
    this.#effects = this.#fresh();
  }

  /** Takes an entry in: all its ops, or those with these indexes. */
  async take(entry: Entry, wanted?: ReadonlySet<number>): Promise<void> {
    await this.#effects.takeEntry(entry, wanted && ((index) => wanted.has(index)));
    this.#ops += wanted?.size ?? entry.header.n;
    if (this.#ops >= OPS_PER_COMMIT) await this.flush();
  }

  async flush(): Promise<void> {
    const effects = this.#effects;
    await this.#commit(effects);
    this.#ops = 0;
    for (const channel of effects.turnedLater) await this.#channel(channel);
  }

  /** What an author's records amount to that begin at a floor, whether or not any of their ops are above it. */
  async floored(owner: PeerId): Promise<void> {
    const { floors } = this.#store;
    for (let behind: RecordKey | undefined; ;) {
      const keys = await floors.keys(owner, behind, RECORDS_PER_COMMIT);
      for (const key of keys) {
        const isDocument = collectionOf(key)?.kind === 'document';
        const [state] = isDocument ? [] : await this.#store.records([key]);
        if (state === undefined) await this.#effects.again(key);
      }
      await this.#commit(this.#effects);
      if (keys.length < RECORDS_PER_COMMIT) return;
      behind = keys.at(-1);
    }
  }

  /** The facts of a channel whose creation came behind them, more than belong into one commit. */
  async #channel(channel: RecordKey): Promise<void> {
    for (let after: RecordKey | undefined; ;) {
      const keys: RecordKey[] = await this.#store.awaiting(channel, { after, limit: FACTS_AT_ONCE });
      for (const key of keys) await this.#effects.again(key);
      const isLast = keys.length < FACTS_AT_ONCE;
      await this.#commit(this.#effects, isLast ? channel : undefined);
      if (isLast) return;
      after = keys.at(-1);
    }
  }

  async #commit(effects: Effects, evaluated?: RecordKey): Promise<void> {
    await effects.evaluateRemaining();
    const { erasing, awaiting } = effects;
    const records = effects.changes();
    this.records += records.filter(({ before }) => before === undefined).length;
    const commit = {
      entries: erasing.rewritten(),
      feeds: [],
      records,
      verdicts: await effects.verdicts(),
      past: effects.past(),
      awaiting,
      proofs: [],
      erasures: erasing.erasures,
      checkpoints: effects.checkpoints,
      erased: erasing.erased,
      unfloored: [...erasing.unfloored],
      ...(evaluated === undefined ? {} : { evaluated }),
      sync: false,
    };
    await this.#store.commit(commit, this.#turn);
    this.#effects = this.#fresh();
  }

  #fresh(): Effects {
    const store = this.#store;
    return new Effects(
      store,
      this.#merges,
      ({ author, channel, epoch, seq }) => seq < (store.feed(author, channel, epoch)?.fork?.seq ?? Infinity),
      this.#turn,
      store.failures,
    );
  }
}
