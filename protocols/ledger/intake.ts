import type { ErrorCode } from '../error-codes.ts';
import { AgrinetError } from '../errors.ts';
import { type Admission, type AdmissionState, admitUnverified, admitVerified } from '../feed/admission.ts';
import type { Entry } from '../feed/entry.ts';
import { entryPlace, type Erasure, isProven, withoutOps } from '../feed/erasure.ts';
import { feedId, type FeedState } from '../feed/feed.ts';
import { overQuota } from '../feed/quota.ts';
import { bytesEqual } from '../wire/bytes.ts';
import { arrival } from './arrival.ts';
import type { ReceivedErasures } from './received-erasures.ts';
import { erasable, erasuresAt } from './erasing.ts';
import { advanced, feedOrNew } from './held-feed.ts';
import type { AuthorBudgets } from './author-budgets.ts';
import type { NewFeeds } from './new-feeds.ts';
import type { ReadEntry } from './read-entry.ts';
import type { Turn } from './turn.ts';
import type { LedgerParts, Received } from './types.ts';

/** What admission needs besides the store. */
export interface IntakeParts {
  readonly ledger: LedgerParts;
  readonly newFeeds: NewFeeds;
  readonly budgets: AuthorBudgets;
  readonly receivedErasures: ReceivedErasures;
}

/** Admits entries of one author and channel, one after another: each admitted entry changes the state for the next. */
export class Intake {
  readonly #parts: IntakeParts;
  readonly #turn: Turn;
  readonly feeds = new Map<string, FeedState>();
  readonly accepted: { readonly feed: FeedState; readonly entry: Entry }[] = [];
  /** The same by place, and their bytes, so that the cost of one more entry does not depend on how many came before it. */
  readonly #fresh = new Map<string, Entry>();
  #freshBytes = 0;
  readonly forks: { readonly entry: Entry; readonly held: Entry }[] = [];
  /** Erasures that prove accepted entries. */
  readonly erasures = new Map<string, Erasure>();

  constructor(parts: IntakeParts, turn: Turn) {
    this.#parts = parts;
    this.#turn = turn;
  }

  async admit(read: ReadEntry): Promise<Received> {
    const { entry } = read;
    const { author, header } = entry;
    const { ledger, receivedErasures, budgets } = this.#parts;
    const { store, identity } = ledger;
    const known = await erasuresAt(store, { author, ...header }, this.#turn);
    // Root and signature stay valid for any op replaced by its hash: without the author's signed erasure, anybody could remove ops
    // permanently.
    const isWhole = entry.body.every((item) => 'op' in item);
    const told = isWhole ? [] : [...known, ...receivedErasures.at(entryPlace(entry))];
    if (!isWhole && told.length === 0) return { kind: 'ignore', code: 'ops-erased', entry };
    if (!isProven(entry, told)) return { kind: 'reject', code: 'erasure-mismatch', entry };
    const feed = this.#feed(entry);
    const followState = author === identity.peerId ? 'followed' : ledger.following.followState(author);
    const held = followState === 'no' ? undefined : await this.#heldAt(feed, header.seq);
    if (followState === 'followed' && author !== identity.peerId && budgets.isExceeded(author))
      return { kind: 'ignore', code: 'author-too-costly', entry };
    const state = { net: ledger.net, followState, feed, heldHash: held?.hash, epochsToday: 0 };
    const verdict = this.#verdict(read, { ...state, epochsToday: this.#epochsToday(entry, state) }, held);
    if (verdict.kind === 'fork' && held !== undefined) this.forks.push({ entry, held });
    const kept = verdict.kind === 'accept' ? await this.#keptAt(feed, header.seq) : undefined;
    if (kept !== undefined && kept.hash !== entry.hash) {
      this.forks.push({ entry, held: kept });
      return { kind: 'fork', entry };
    }
    const isNew = verdict.kind === 'accept' || verdict.kind === 'gap';
    // A gap would be requested, only for the entries to be refused again.
    if (isNew && this.#isOverQuota(entry)) return { kind: 'ignore', code: 'author-over-quota', entry };
    if (verdict.kind !== 'accept') return { ...verdict, entry };
    for (const erasure of told) this.erasures.set(erasure.id, erasure);
    return { kind: 'accept', entry: await this.#accept(entry, feed, known) };
  }

  /**
   * Entries admitted just now count too. Checked last, so that no author is refused because of what somebody else signed in its
   * name.
   */
  #isOverQuota({ author, bytes }: Entry): boolean {
    const { ledger } = this.#parts;
    const quota = author === ledger.identity.peerId ? undefined : ledger.quota?.(author);
    if (quota === undefined) return false;
    const usage = ledger.store.usageOf(author);
    const what = overQuota(usage, quota, this.#freshBytes + bytes.length);
    if (what !== undefined) ledger.onAlarm({ kind: 'author-over-quota', author, what, usage });
    return what !== undefined;
  }

  #feed({ author, header: { channel, epoch } }: Entry): FeedState | undefined {
    const { store } = this.#parts.ledger;
    return this.feeds.get(feedId({ author, channel, epoch })) ?? store.feed(author, channel, epoch);
  }

  async #heldAt(feed: FeedState | undefined, seq: number): Promise<Entry | undefined> {
    if (feed === undefined || seq > feed.seq) return undefined;
    return this.#fresh.get(`${feed.no} ${seq}`) ?? (await this.#parts.ledger.store.entry(feed.no, seq));
  }

  /** What was kept of a forgotten feed at the place of an entry that is received again. */
  async #keptAt(feed: FeedState | undefined, seq: number): Promise<Entry | undefined> {
    const { store } = this.#parts.ledger;
    if (feed === undefined || store.gap(feed.no)?.kept.has(seq) !== true) return undefined;
    return store.entry(feed.no, seq);
  }

  /** Its own a node takes back without a bound: only its own key can have signed them. */
  #epochsToday(
    { author, header }: Entry,
    { followState, feed }: Pick<AdmissionState, 'followState' | 'feed'>,
  ): number {
    const opens = header.seq === 1 && (feed === undefined || feed.seq === 0);
    const bounded = opens && followState === 'followed' && author !== this.#parts.ledger.identity.peerId;
    return bounded ? this.#parts.newFeeds.today(author, header.channel) : 0;
  }

  #verdict(
    { entry, signatureHolds, bodyMatches }: ReadEntry,
    state: AdmissionState,
    held: Entry | undefined,
  ): Admission & { code?: ErrorCode } {
    const early = admitUnverified(entry, state);
    // The hash is the header's: signature and body of a copy may be anybody's, so only the very same bytes are passed on.
    if (early?.kind === 'known' && held !== undefined && !bytesEqual(held.bytes, entry.bytes))
      return { kind: 'known', code: 'copy-differs' };
    if (early !== undefined) return early;
    if (!signatureHolds()) return { kind: 'reject', code: 'signature-invalid' };
    return admitVerified(entry, state, bodyMatches);
  }

  /** The entry as it is stored: a peer that has not yet received an erasure sends the op complete. */
  async #accept(entry: Entry, feed: FeedState | undefined, known: readonly Erasure[]): Promise<Entry> {
    const { author, header } = entry;
    const { store, env } = this.#parts.ledger;
    const came = { ...entry, arrived: arrival(this.#parts.ledger) };
    const base = feed ?? feedOrNew(store, { author, ...header }, env.now());
    if (feed === undefined) this.#parts.newFeeds.note(author, header.channel);
    const gone = new Set((await erasable(came, known, this.#turn)).map(({ index }) => index));
    const kept = gone.size === 0 ? came : withoutOps(came, gone);
    this.feeds.set(feedId(base), advanced(base, kept));
    this.accepted.push({ feed: base, entry: kept });
    this.#fresh.set(`${base.no} ${header.seq}`, kept);
    this.#freshBytes += kept.bytes.length;
    return kept;
  }
}

/** The code of what kept bytes from being an entry at all. */
export function unreadable(error: unknown): Received {
  return { kind: 'reject', code: error instanceof AgrinetError ? error.code : 'entry-malformed' };
}
