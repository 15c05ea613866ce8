import { randomBytes } from 'node:crypto';
import { AgrinetError, errorCode } from '../errors.ts';
import { admitUnverified, admitVerified } from '../feed/admission.ts';
import { bodyMatches, decodeEntry, type Entry, sealEntry } from '../feed/entry.ts';
import { entryPlace, type Erasure, isProven, openErasure, withoutOps } from '../feed/erasure.ts';
import { feedId, type FeedState } from '../feed/feed.ts';
import { type ForkProof, makeForkProof, openForkProof, proofWins } from '../feed/fork.ts';
import { frontierOf } from '../feed/frontier.ts';
import { ENTRY_ENVELOPE, type EpochTail } from '../feed/header.ts';
import type { OpRef, PlacedOp, RecordState } from '../open-dialog/record.ts';
import { bytesEqual } from '../wire/bytes.ts';
import { signatureHolds } from '../wire/envelope.ts';
import type { Channel, RecordKey } from '../wire/ids.ts';
import { LIMITS } from '../wire/limits.ts';
import { Effects } from './effects.ts';
import { BroughtErasures } from './brought-erasures.ts';
import { erasable, erasuresAt } from './erasing.ts';
import { placedOps } from './placed-ops.ts';
import { type Draft, EPOCH_FULL, type Pen } from './drafts.ts';
import { JudgingDebts } from './judging-debts.ts';
import { dayOf, NewFeeds } from './new-feeds.ts';
import { reissueRequests } from './reissue.ts';
import type { Ledger, LedgerParts, Received, WriteRequest, Written } from './types.ts';
import type { LedgerStore, RecordChange } from './ports.ts';
import { readOp } from '../open-dialog/read-op.ts';
import { COLLECTIONS } from '../open-dialog/schema.ts';

interface PendingWrite {
  readonly request: WriteRequest;
  resolve(written: Written): void;
  reject(error: unknown): void;
}

/** Local writes that may wait; beyond it the caller is told to come back. */
const MAX_WAITING = 20_000;
/** Room for envelope, header and framing in an entry of `LIMITS.entryBytes`. */
const ENTRY_OPS_BYTES = LIMITS.entryBytes - 16_384;

export function createLedger(parts: LedgerParts): Ledger {
  const { identity, store, judge, following, clock } = parts;
  const startedAt = parts.now();
  const newFeeds = new NewFeeds(store, parts.now);
  const debts = new JudgingDebts(parts.now);
  const brought = new BroughtErasures();
  let epoch = randomBytes(8).toString('hex');
  let epochIsFull = false;
  const writes: PendingWrite[] = [];
  const tasks: (() => Promise<void>)[] = [];
  let running: Promise<void> | undefined;

  function wake(): void {
    running ??= run().finally(() => {
      running = undefined;
      if (writes.length > 0 || tasks.length > 0) wake();
    });
  }

  async function run(): Promise<void> {
    // One turn of the event loop lets the writes of one burst share an entry.
    await new Promise<void>((resolve) => setImmediate(resolve));
    while (writes.length > 0 || tasks.length > 0) {
      if (writes.length > 0) await commitWrites();
      const task = tasks.shift();
      if (task !== undefined) await task();
    }
  }

  function inLane<T>(work: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      tasks.push(() => work().then(resolve, reject));
      wake();
    });
  }

  /** Pending forks count from the moment they are known, before their commit. */
  const effects = (forks: ReadonlyMap<string, number> = new Map<string, number>()): Effects =>
    new Effects(store, judge, (ref: OpRef) => {
      const known = store.feed(ref.author, ref.channel, ref.epoch)?.fork?.seq ?? Infinity;
      return ref.seq < Math.min(known, forks.get(feedId(ref)) ?? Infinity);
    });

  async function commit(
    what: Parameters<LedgerStore['commit']>[0],
    local: boolean,
    entries: readonly Entry[],
  ): Promise<void> {
    try {
      await store.commit(what);
    } catch (error) {
      // Whether the batch reached the disk is unknown: another entry at the same place could fork the feed.
      epoch = randomBytes(8).toString('hex');
      parts.onAlarm({ kind: 'commit-failed', code: error instanceof AgrinetError ? error.code : 'internal' });
      throw error;
    }
    const erased = [...new Set(what.erased.map(({ key }) => key))];
    const proofs = what.proofs.map((p) => p.proof);
    parts.onCommit({ entries, local, changes: what.records, proofs, erased });
  }

  // ---- local writes

  interface Page {
    readonly feed: FeedState;
    readonly place: Omit<Entry['header'], 'n' | 'root'>;
    readonly ops: Uint8Array[];
    bytes: number;
  }

  function openPage(channel: Channel): Page {
    const known = store.feed(identity.peerId, channel, epoch);
    const feed: FeedState = known ?? {
      no: store.nextFeedNo(),
      author: identity.peerId,
      channel,
      epoch,
      seq: 0,
      hash: '',
      after: [],
      day: today(),
    };
    const seq = feed.seq + 1;
    const after: EpochTail[] = seq > 1 ? [] : tails(store.feeds(identity.peerId, channel));
    const place = {
      net: parts.net,
      channel,
      epoch,
      seq,
      prev: seq === 1 ? null : feed.hash,
      after,
      time: clock.tick(),
    };
    return { feed, place, ops: [], bytes: 0 };
  }

  const today = (): number => dayOf(parts.now());

  async function commitWrites(): Promise<void> {
    // A change beyond what an epoch may hold of its record would be void: the write that waits for this is the next one.
    if (epochIsFull) epoch = randomBytes(8).toString('hex');
    epochIsFull = false;
    const effect = effects();
    const pages = new Map<Channel, Page>();
    const done: { pending: PendingWrite; drafts: readonly Draft[]; before: (RecordState | undefined)[] }[] =
      [];
    const batch = writes.splice(0, LIMITS.entryOps);
    let taken = 0;
    let rest: PendingWrite[] | undefined;
    try {
      await effect.load(batch.flatMap((pending) => pending.request.keys));
      for (const pending of batch) {
        taken++;
        const outcome = await draftOne(pending, effect, pages);
        if (outcome === 'full') {
          taken--;
          break;
        }
        if (outcome !== 'refused') done.push({ pending, ...outcome });
      }
      rest = batch.slice(taken);
      writes.unshift(...rest);
      await effect.settle();
      const entries = [...pages.values()]
        .filter((page) => page.ops.length > 0)
        .map((page) => ({ page, entry: sealEntry(identity, page.place, page.ops) }));
      if (entries.length > 0) {
        await commit(
          {
            entries: [
              ...entries.map(({ page, entry }) => ({ feed: page.feed, entry })),
              ...effect.erasing.rewritten(),
            ],
            feeds: entries.map(({ page, entry }) => advanced(page.feed, entry)),
            records: effect.changes(),
            verdicts: effect.verdicts(),
            lacking: effect.lacking,
            proofs: [],
            erasures: effect.erasing.erasures,
            erased: effect.erasing.erased,
            sync: true,
          },
          true,
          entries.map(({ entry }) => entry),
        );
      }
    } catch (error) {
      // Whoever is told of the failure has left the queue: a write that was refused must not be done later.
      if (taken === 0) taken = batch.length;
      if (rest === undefined) writes.unshift(...batch.slice(taken));
      for (const pending of batch.slice(0, taken)) pending.reject(error);
      return;
    }
    for (const { pending, drafts, before } of done) {
      const records = drafts.map(({ key, ops }, i) => ({
        key,
        before: before[i],
        after: effect.state(key),
        changed: ops.length > 0,
      }));
      pending.resolve({ records });
    }
  }

  async function draftOne(
    pending: PendingWrite,
    effect: Effects,
    pages: Map<Channel, Page>,
  ): Promise<'full' | 'refused' | { drafts: readonly Draft[]; before: (RecordState | undefined)[] }> {
    const pen: Pen = { author: identity.peerId, epoch };
    let drafts: readonly Draft[];
    try {
      drafts = pending.request.draft(pen, (key) => effect.state(key));
    } catch (error) {
      if (errorCode(error) === EPOCH_FULL) {
        epochIsFull = true;
        return 'full';
      }
      pending.reject(error);
      return 'refused';
    }
    await effect.load(
      drafts.flatMap((draft) => (draft.channel === 'public' ? [draft.key] : [draft.key, draft.channel])),
    );
    // A fact that stands already is not said again: the same import twice writes nothing.
    drafts = drafts.map((draft) =>
      isFact(draft.key) && effect.state(draft.key)?.exists === true ? { ...draft, ops: [] } : draft,
    );
    const before = drafts.map((draft) => effect.state(draft.key));
    const size = drafts.reduce(
      (sum, { ops }) => sum + ops.reduce((bytes, op) => bytes + op.length + 4, 0),
      0,
    );
    const count = drafts.reduce((sum, { ops }) => sum + ops.length, 0);
    for (const page of pages.values()) {
      if (page.bytes + size > ENTRY_OPS_BYTES || page.ops.length + count > LIMITS.entryOps) return 'full';
    }
    for (const draft of drafts) {
      if (draft.ops.length === 0) continue;
      const page = pages.get(draft.channel) ?? openPage(draft.channel);
      pages.set(draft.channel, page);
      for (const op of draft.ops) {
        const index = page.ops.push(op) - 1;
        page.bytes += op.length + 4;
        const { channel, seq, time } = page.place;
        const placed = { author: identity.peerId, channel, epoch, seq, index, bytes: op, time };
        if (effect.take(placed) === undefined) await effect.settle();
      }
    }
    return { drafts, before };
  }

  // ---- entries of others

  async function receiveNow(list: readonly Uint8Array[], publicOnly: boolean): Promise<Received[]> {
    const refusal = parts.refusal();
    if (refusal !== undefined) return list.map(() => ({ kind: 'ignore', code: refusal.code }));
    const effect = effects();
    const feeds = new Map<string, FeedState>();
    const accepted: { feed: FeedState; entry: Entry }[] = [];
    const forks: { entry: Entry; held: Entry }[] = [];
    const words = new Map<string, Erasure>();
    const results: Received[] = [];
    for (const bytes of list) {
      const result = await admitOne(bytes, publicOnly, feeds, accepted, forks, words);
      results.push(result);
      if (result.kind === 'accept' && result.entry !== undefined) await effect.takeEntry(result.entry);
    }
    if (accepted.length > 0) {
      const started = parts.now();
      await effect.settle();
      const entries = accepted.map(({ entry }) => entry);
      debts.charge(entries, parts.now() - started);
      await commit(
        {
          entries: [
            ...accepted.map(({ feed, entry }) => ({ feed, entry: effect.erasing.asStored(entry) })),
            ...effect.erasing.rewritten(),
          ],
          feeds: [...feeds.values()],
          records: effect.changes(),
          verdicts: effect.verdicts(),
          lacking: effect.lacking,
          proofs: [],
          erasures: [...words.values(), ...effect.erasing.erasures],
          erased: effect.erasing.erased,
          sync: false,
        },
        false,
        entries,
      );
      for (const entry of entries) noteAccepted(entry);
    }
    for (const { entry, held } of forks) await takeProof(makeForkProof(entry, held));
    return results;
  }

  function noteAccepted(entry: Entry): void {
    clock.observe(entry.header.time);
    if (entry.author !== identity.peerId) return;
    const mine = entry.header.epoch === epoch;
    if (mine || entry.header.time[0] > startedAt)
      parts.onAlarm({ kind: 'own-key-elsewhere', epoch: entry.header.epoch });
    else parts.onAlarm({ kind: 'own-entries-returned', epoch: entry.header.epoch });
    if (mine) epoch = randomBytes(8).toString('hex');
  }

  async function admitOne(
    bytes: Uint8Array,
    publicOnly: boolean,
    feeds: Map<string, FeedState>,
    accepted: { feed: FeedState; entry: Entry }[],
    forks: { entry: Entry; held: Entry }[],
    words: Map<string, Erasure>,
  ): Promise<Received> {
    let entry: Entry;
    try {
      entry = decodeEntry(bytes);
    } catch (error) {
      return { kind: 'reject', code: error instanceof AgrinetError ? error.code : 'entry-malformed' };
    }
    const { author, header } = entry;
    if (publicOnly && header.channel !== 'public') return { kind: 'reject', code: 'channel-private', entry };
    // Root and signature hold for any op replaced by its hash: without the author's word anybody could take ops out for good.
    const isWhole = entry.body.every((item) => 'op' in item);
    const told = isWhole
      ? []
      : [...(await erasuresAt(store, placeIn(entry))), ...brought.at(entryPlace(entry))];
    if (!isWhole && told.length === 0) return { kind: 'ignore', code: 'ops-erased', entry };
    if (!isProven(entry, told)) return { kind: 'reject', code: 'erasure-mismatch', entry };
    const id = feedId({ author, channel: header.channel, epoch: header.epoch });
    const feed = feeds.get(id) ?? store.feed(author, header.channel, header.epoch);
    const standing = author === identity.peerId ? 'followed' : following.standing(author);
    const held =
      standing === 'no' || feed === undefined || header.seq > feed.seq
        ? undefined
        : await heldAt(feed, header.seq, accepted);
    const opens = header.seq === 1 && (feed === undefined || feed.seq === 0);
    if (standing === 'followed' && author !== identity.peerId && debts.isOver(author))
      return { kind: 'ignore', code: 'author-too-costly', entry };
    const state = {
      net: parts.net,
      standing,
      feed,
      heldHash: held?.hash,
      // Its own a node takes back without a bound: only its own key can have signed them.
      epochsToday:
        opens && standing === 'followed' && author !== identity.peerId
          ? newFeeds.today(author, header.channel)
          : 0,
    };
    const early = admitUnverified(entry, state);
    // The hash is the header's: signature and body of a copy may be anybody's, so only the very same bytes are passed on.
    if (early?.kind === 'known' && held !== undefined && !bytesEqual(held.bytes, bytes))
      return { kind: 'known', code: 'copy-differs', entry };
    if (early !== undefined) return { ...early, entry };
    if (!signatureHolds(ENTRY_ENVELOPE, entry.envelope))
      return { kind: 'reject', code: 'signature-invalid', entry };
    const verdict = admitVerified(entry, state, () => bodyMatches(entry));
    if (verdict.kind === 'fork' && held !== undefined) forks.push({ entry, held });
    if (verdict.kind !== 'accept') return { ...verdict, entry };
    const base: FeedState = feed ?? {
      no: store.nextFeedNo(),
      author,
      channel: header.channel,
      epoch: header.epoch,
      seq: 0,
      hash: '',
      after: [],
      day: today(),
    };
    if (feed === undefined) newFeeds.note(author, header.channel);
    for (const erasure of told) words.set(erasure.id, erasure);
    // Whoever has not yet heard of an erasure brings the op whole.
    const gone = new Set(erasable(entry, await erasuresAt(store, placeIn(entry))).map(({ index }) => index));
    const kept = gone.size === 0 ? entry : withoutOps(entry, gone);
    feeds.set(id, advanced(base, kept));
    accepted.push({ feed: base, entry: kept });
    return { kind: 'accept', entry: kept };
  }

  async function heldAt(
    feed: FeedState,
    seq: number,
    accepted: readonly { feed: FeedState; entry: Entry }[],
  ): Promise<Entry | undefined> {
    const fresh = accepted.find((a) => a.feed.no === feed.no && a.entry.header.seq === seq);
    return fresh?.entry ?? (await store.entry(feed.no, seq));
  }

  // ---- equivocation

  async function takeProof(proof: ForkProof): Promise<'new' | 'known' | 'ignored'> {
    const { author, channel, epoch: forked } = proof;
    const refusal = parts.refusal();
    // The author's own records could not be issued again now: the proof comes again.
    if (refusal !== undefined) throw refusal;
    if (proof.net !== parts.net) throw new AgrinetError('network-wrong', 'a proof of another network');
    if (author !== identity.peerId && following.standing(author) === 'no') return 'ignored';
    const known = store.feed(author, channel, forked);
    if (known === undefined) {
      // Otherwise an author could fill every node with proofs against itself.
      if (author !== identity.peerId && newFeeds.today(author, channel) >= LIMITS.epochsPerDay)
        return 'ignored';
      newFeeds.note(author, channel);
    }
    const base: FeedState = known ?? {
      no: store.nextFeedNo(),
      author,
      channel,
      epoch: forked,
      seq: 0,
      hash: '',
      after: [],
      day: today(),
    };
    if (!proofWins(proof, base.fork && (await store.proof(base.no)))) return 'known';
    const below =
      proof.seq === 1 || base.seq < proof.seq - 1
        ? ''
        : ((await store.entry(base.no, proof.seq - 1))?.hash ?? '');
    const feed: FeedState = { ...base, fork: { seq: proof.seq, proof: proof.id, below } };
    const effect = effects(new Map([[feedId(feed), proof.seq]]));
    const undone: PlacedOp[] = [];
    for (let seq = proof.seq; seq <= base.seq; seq++) {
      const entry = await store.entry(base.no, seq);
      for (const placed of entry === undefined ? [] : placedOps(entry)) {
        const { key } = readOp(placed);
        if (key !== undefined) await effect.again(key);
        if (author === identity.peerId) undone.push(placed);
      }
    }
    await effect.settle();
    const changes = effect.changes();
    await commit(
      {
        entries: [],
        feeds: [feed],
        records: changes,
        verdicts: effect.verdicts(),
        lacking: effect.lacking,
        proofs: [{ feed, proof }],
        erasures: [],
        erased: [],
        sync: true,
      },
      false,
      [],
    );
    if (author !== identity.peerId) {
      parts.onAlarm({ kind: 'feed-forked', author, epoch: forked, seq: proof.seq });
    } else {
      // Whichever epoch was forked: a change of this one that now waits would make all that follow it here wait.
      epoch = randomBytes(8).toString('hex');
      parts.onAlarm({ kind: 'own-feed-forked', epoch: forked, seq: proof.seq });
      void reissue(undone, changes).catch(() => parts.onAlarm({ kind: 'commit-failed', code: 'reissue' }));
    }
    return 'new';
  }

  /** The author's honest records come back in a new epoch, as they were before the fork took their ops away. */
  async function reissue(undone: readonly PlacedOp[], changes: readonly RecordChange[]): Promise<void> {
    const requests = reissueRequests(undone, changes);
    for (let at = 0; at < requests.length; at += LIMITS.entryOps)
      await Promise.all(requests.slice(at, at + LIMITS.entryOps).map(write));
  }

  function write(request: WriteRequest): Promise<Written> {
    const refusal = parts.refusal();
    if (refusal !== undefined) return Promise.reject(refusal);
    if (writes.length >= MAX_WAITING)
      return Promise.reject(new AgrinetError('busy', 'too many writes are waiting; try again'));
    return new Promise<Written>((resolve, reject) => {
      writes.push({ request, resolve, reject });
      wake();
    });
  }

  return {
    write,
    receive: (entries, publicOnly = false) => inLane(() => receiveNow(entries, publicOnly)),
    receiveProof: (bytes) => {
      const proof = openForkProof(bytes);
      return inLane(() => takeProof(proof));
    },
    receiveErasure: async (bytes) => {
      const erasure = openErasure(bytes);
      const isKnown = erasure.author === identity.peerId || following.standing(erasure.author) !== 'no';
      if (isKnown) brought.add(erasure);
      return isKnown ? 'new' : 'ignored';
    },
    epoch: () => epoch,
    alone: inLane,
    drain: () => inLane(async () => undefined),
  };
}

function isFact(key: RecordKey): boolean {
  return COLLECTIONS[key.slice(0, key.indexOf('/'))]?.kind === 'fact';
}

/** Where an entry stands. */
function placeIn({
  author,
  header: { channel, epoch, seq },
}: Entry): Pick<Erasure, 'author' | 'channel' | 'epoch' | 'seq'> {
  return { author, channel, epoch, seq };
}

/** The feed after one more entry. */
function advanced(feed: FeedState, entry: Entry): FeedState {
  const { seq, after } = entry.header;
  const next = { ...feed, seq, hash: entry.hash, after: seq === 1 ? after : feed.after };
  return feed.fork?.seq === seq + 1 ? { ...next, fork: { ...feed.fork, below: entry.hash } } : next;
}

/** What a new epoch names in `after`: the frontier of the author's own feeds, newest last held first, without forked ones. */
function tails(feeds: readonly FeedState[]): EpochTail[] {
  return frontierOf(feeds)
    .filter((item) => item.fork === undefined)
    .slice(0, LIMITS.afterEpochs)
    .map(({ epoch, seq, hash }) => ({ epoch, seq, hash }));
}
