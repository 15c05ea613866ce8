import { AgrinetError, errorMessage } from '../protocols/errors.ts';
import { bodyMatches, type Entry } from '../protocols/feed/entry.ts';
import type { FeedState } from '../protocols/feed/feed.ts';
import { type ForkProof, verifyForkProof } from '../protocols/feed/fork.ts';
import type { Gap } from '../protocols/feed/gap.ts';
import { ENTRY_ENVELOPE } from '../protocols/feed/header.ts';
import { signatureHolds } from '../protocols/wire/envelope.ts';
import type { Database } from '../storage/database.ts';
import { readEntryRow } from '../storage/entry-row.ts';
import { readGaps } from '../storage/gap-table.ts';
import { innerKey, range } from '../storage/keyspace.ts';
import { soundJson, verifyChecksum } from '../storage/values.ts';
import type { Problem } from './check-derived.ts';
import { followingFeed } from './following-feed.ts';
import { forgottenFeed, isOfGap } from './gap-survey.ts';

/** The result of checking every feed: how far each is valid, and what is not. */
export interface Survey {
  readonly feeds: readonly FeedState[];
  /** Of the usable entries, by the number of their feed. */
  readonly bytes: ReadonlyMap<number, number>;
  /** Entries that were kept of forgotten feeds, beyond their heads. */
  readonly kept: readonly { readonly no: number; readonly seq: number }[];
  readonly entries: number;
  /** Keys of entries that cannot be used: damaged, or behind something missing. */
  readonly unusable: readonly string[];
  readonly problems: Problem[];
}

/** Checks every entry: checksum, signature, chain, body. Reads only. */
export async function surveyFeeds(db: Database, onEntry: (done: number) => void): Promise<Survey> {
  const known = new Map<number, FeedState>();
  for await (const [key, value] of db.level.iterator(range('feeds'))) {
    const feed = soundJson<FeedState>(key, value);
    if (feed !== undefined) known.set(feed.no, feed);
  }
  const walk = new SurveyWalk(known, await readGaps(db.level, true));
  for await (const [key, value] of db.level.iterator(range('forks'))) walk.fork(key, value);
  const entries = db.level.iterator({ ...range('entries'), highWaterMarkBytes: 1024 * 1024 });
  for await (const [key, value] of entries) {
    walk.entry(key, value);
    onEntry(walk.entries);
  }
  return walk.finish();
}

/** The entries of all feeds one after another, as their keys order them. */
class SurveyWalk {
  readonly #feeds: FeedState[] = [];
  readonly #bytes = new Map<number, number>();
  readonly #kept: { no: number; seq: number }[] = [];
  readonly #unusable: string[] = [];
  readonly #problems: Problem[] = [];
  /** Feeds by their rows, proofs and gaps, of which no entry has come yet. */
  readonly #known: Map<number, FeedState>;
  readonly #forks = new Map<number, ForkProof>();
  readonly #gaps: ReadonlyMap<number, Gap>;
  /** The feed at hand, as far as it holds. */
  #no = -1;
  #feed: FeedState | undefined;
  #isBroken = false;
  entries = 0;

  constructor(known: Map<number, FeedState>, gaps: ReadonlyMap<number, Gap>) {
    this.#known = known;
    this.#gaps = gaps;
  }

  fork(key: string, value: Uint8Array): void {
    try {
      this.#forks.set(Number.parseInt(innerKey(key), 16), verifyForkProof(verifyChecksum(key, value)));
    } catch (error) {
      const code = error instanceof AgrinetError ? error.code : 'value-damaged';
      this.#problems.push({ code, message: errorMessage(error) });
      this.#unusable.push(key);
    }
  }

  entry(key: string, value: Uint8Array): void {
    this.entries++;
    const no = Number.parseInt(innerKey(key).slice(0, 8), 16);
    const seq = Number.parseInt(innerKey(key).slice(8), 16);
    if (this.#no !== no) this.#begin(no);
    const gap = this.#gaps.get(no);
    if (gap !== undefined && (this.#isBroken || seq > (this.#known.get(no)?.seq ?? 0)))
      this.#beyondHead(gap, seq, [key, value]);
    else this.#next(key, value);
  }

  finish(): Survey {
    this.#end();
    for (const { seq, author, epoch } of this.#known.values())
      if (seq > 0)
        this.#problems.push({
          code: 'feed-missing',
          message: `feed ${author} ${epoch} lost all its ${seq} entries`,
        });
    // Of these only the proof is held. It names its feed, whatever became of the feed's own row.
    for (const [no, { author, channel, epoch, seq, id }] of this.#forks) {
      const day = this.#known.get(no)?.day ?? 0;
      const fork = { seq, proof: id, below: '' };
      this.#feeds.push({ no, author, channel, epoch, seq: 0, hash: '', after: [], day, fork });
    }
    const found = new Set(this.#feeds.map(({ no }) => no));
    for (const [no, gap] of this.#gaps)
      if (!found.has(no)) this.#feeds.push(forgottenFeed(gap, this.#known.get(no)));
    return {
      feeds: this.#feeds,
      bytes: this.#bytes,
      kept: this.#kept,
      entries: this.entries,
      unusable: this.#unusable,
      problems: this.#problems,
    };
  }

  #begin(no: number): void {
    this.#end();
    this.#no = no;
    this.#feed = undefined;
    this.#isBroken = false;
  }

  /** All entries of the current feed have been checked. */
  #end(): void {
    const feed = this.#feed;
    if (feed === undefined) return;
    if (feed.seq > 0 || feed.fork !== undefined) this.#feeds.push(feed);
    const row = this.#known.get(feed.no);
    if (row !== undefined && row.seq > feed.seq)
      this.#problems.push({
        code: 'feed-short',
        message: `feed ${feed.author} ${feed.epoch} holds ${feed.seq} of ${row.seq} entries`,
      });
    this.#known.delete(feed.no);
    this.#forks.delete(feed.no);
  }

  #next(key: string, value: Uint8Array): void {
    const no = this.#no;
    const entry = this.#isBroken ? undefined : this.#usable(key, value);
    const next = entry && followingFeed(this.#feed, no, entry, this.#known.get(no), this.#forks.get(no));
    if (entry !== undefined && next !== undefined) {
      this.#feed = next;
      this.#count(no, entry);
      return;
    }
    if (entry !== undefined)
      this.#problems.push({
        code: 'chain-broken',
        message: `feed ${no} breaks at entry ${entry.header.seq}`,
      });
    this.#isBroken = true;
    this.#unusable.push(key);
  }

  /** An entry of a forgotten feed, beyond its head: evidence, or what an interrupted forgetting has not reached. */
  #beyondHead(gap: Gap, seq: number, [key, value]: [string, Uint8Array]): void {
    const entry = gap.kept.has(seq) ? this.#usable(key, value) : undefined;
    if (entry === undefined || !isOfGap(gap, seq, entry)) {
      this.#unusable.push(key);
      return;
    }
    this.#kept.push({ no: gap.no, seq });
    this.#count(gap.no, entry);
  }

  #count(no: number, { bytes }: Entry): void {
    this.#bytes.set(no, (this.#bytes.get(no) ?? 0) + bytes.length);
  }

  #usable(key: string, value: Uint8Array): Entry | undefined {
    try {
      const entry = readEntryRow(key, value);
      if (signatureHolds(ENTRY_ENVELOPE, entry.envelope) && bodyMatches(entry)) return entry;
      this.#problems.push({
        code: 'entry-invalid',
        message: `${JSON.stringify(key)}: signature or body does not hold`,
      });
    } catch (error) {
      this.#problems.push({ code: 'value-damaged', message: errorMessage(error) });
    }
    return undefined;
  }
}
