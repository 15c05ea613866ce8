import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { expect, test } from 'vitest';
import { errorCode } from '../../../protocols/errors.ts';
import { decodeOp, encodeOp } from '../../../protocols/feed/op.ts';
import type { Draft, Patch, Writer } from '../../../protocols/ledger/drafts.ts';
import {
  draftEdit,
  draftErasure,
  draftFact,
  draftPrivate,
  draftTombstone,
  RECORD_PARTIAL,
} from '../../../protocols/ledger/drafts.ts';
import { decodeChange, encodeChange } from '../../../protocols/open-dialog/change.ts';
import { applyFast, emptyState } from '../../../protocols/open-dialog/fast-path.ts';
import { HOT } from '../../../protocols/open-dialog/hot.ts';
import { evaluateWhole } from '../../support/evaluate-whole.ts';
import { evaluate, runAll } from '../../../protocols/open-dialog/rule.ts';
import { withValues } from '../../../protocols/open-dialog/values.ts';
import { actorOf, readOp } from '../../../protocols/open-dialog/read-op.ts';
import {
  type Membership,
  type OpenState,
  openState,
  type PlacedOp,
  type RecordState,
  type Verdict,
} from '../../../protocols/open-dialog/record.ts';
import { type Identity, identityFromSeed } from '../../../protocols/wire/identity.ts';
import { type Channel, recordKey, type RecordKey } from '../../../protocols/wire/ids.ts';
import { seededRandom } from '../../support/random.ts';

const HISTORIES = Number(process.env.COUNT ?? 900);
const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 1_000_000));
const keyOf = (n: number): Identity => identityFromSeed(new Uint8Array(32).fill(n));
const OWNER_KEY = keyOf(1);
const [OWNER, SECOND, THIRD] = [1, 2, 3].map((n) => keyOf(n).peerId);

type Kind = 'public' | 'private' | 'fact' | 'message';

/** The ops of one record, written by several epochs that see one another's in part. */
class History {
  readonly key: RecordKey;
  readonly ops: PlacedOp[] = [];
  readonly members: Membership | undefined;
  readonly #random: () => number;
  readonly #pens: (Writer & { seen: Set<PlacedOp>; seq: number })[] = [];
  readonly #kind: Kind;
  readonly #crowd: boolean;
  readonly #channel: Channel;
  readonly #creation: Draft | undefined;

  /** `crowd`: many epochs that see little of one another, beyond what the state of a record holds. */
  constructor(random: () => number, kind: Kind, crowd = false) {
    if (OWNER === undefined || SECOND === undefined || THIRD === undefined) throw new TypeError('no authors');
    this.#random = random;
    this.#crowd = crowd;
    this.#kind = kind;
    // The third is a writer of some private records and only takes part in others.
    const authors = { public: [OWNER], private: [OWNER, SECOND, THIRD], fact: [OWNER], message: [THIRD] }[
      kind
    ];
    const writers = [OWNER, random() < 0.5 ? SECOND : THIRD].sort();
    for (let i = 0; i < (crowd ? 24 : 4); i++) {
      const author = authors[i % authors.length] ?? OWNER;
      this.#pens.push({ author, epoch: i.toString(16).padStart(16, '0'), seen: new Set(), seq: 0 });
    }
    const pen = { author: OWNER, epoch: '0000000000000000' };
    const creation = draftPrivate(
      pen,
      'contracts',
      { writers, participants: [OWNER, SECOND, THIRD].sort() },
      randomBytes(16),
    );
    switch (kind) {
      case 'public':
        this.key = recordKey('listings', OWNER, 'x');
        this.#channel = 'public';
        break;
      case 'private':
        this.#creation = creation;
        this.key = creation.key;
        this.#channel = creation.key;
        break;
      case 'fact':
        this.key = this.#price(pen).key;
        this.#channel = 'public';
        break;
      case 'message':
        this.#channel = creation.key;
        this.key = this.#message({ ...pen, author: THIRD }).key;
        // Membership may be unknown: then it stays so for this history.
        this.members = random() < 0.6 ? { owner: OWNER, writers, participants: writers } : undefined;
        break;
    }
  }

  #price(pen: Writer): Draft {
    const fields = { date: '2026-01-15', market: 'm', commodity: 'c', unit: 'KG', currency: 'KES', price: 1 };
    return draftFact(pen, 'prices', { ...fields, priceType: 'Retail' });
  }

  #message(pen: Writer): Draft {
    return draftFact(pen, 'messages', { from: 'u', type: 'text', content: 'c', sentAt: 1 }, this.#channel);
  }

  #draft(pen: Writer, known: RecordState | undefined, seen: readonly PlacedOp[]): Draft | undefined {
    const roll = this.#random();
    if (this.#kind === 'fact') return roll < 0.2 ? draftTombstone(this.key, 'public') : this.#price(pen);
    if (this.#kind === 'message') return this.#message(pen);
    if (this.#creation !== undefined && pen.author === OWNER && (known?.exists !== true || roll < 0.03))
      if (this.#random() < 0.7) return this.#creation;
    if (roll < 0.03 && pen.author === OWNER) return draftTombstone(this.key, this.#channel);
    if (this.#kind === 'public' && roll < 0.05) return this.#erasure();
    if (known?.tombstone === true || known?.erased === true) return undefined;
    const patch: Record<string, Patch[string]> = {};
    if (this.#kind === 'public' && known?.exists !== true)
      Object.assign(patch, { type: 'offer', status: 'active' });
    for (const field of ['title', 'unit', 'commodity'])
      if (this.#random() < 0.4)
        patch[field] = this.#random() < 0.2 ? undefined : `v${Math.floor(this.#random() * 4)}`;
    const draft = (state: RecordState | OpenState | undefined): Draft =>
      draftEdit(pen, this.key, this.#channel, state, patch);
    try {
      return draft(known);
    } catch (error) {
      // As the ledger does: the record is evaluated whole for this actor.
      if (errorCode(error) !== RECORD_PARTIAL || known === undefined) throw error;
      const actor = actorOf(pen.author, pen.epoch, this.key);
      const { base } = evaluateWhole(this.key, seen, this.members, actor);
      if (base === undefined) throw error;
      drafted.base++;
      return draft({ ...openState(known), base });
    }
  }

  /** What the owner says of any entry: that the record is erased does not depend on which. */
  #erasure(): Draft {
    const epoch = '00000000000000ee';
    const ops = [{ index: 0, hash: '0'.repeat(64) }];
    const statement = { channel: 'public', epoch, seq: 1, record: this.key, ops, time: 1 } as const;
    return draftErasure(OWNER_KEY, 'public', [statement]);
  }

  /** A change of which a predecessor is missing, or its first field without any. */
  #forgetful(bytes: Uint8Array): Uint8Array {
    const op = decodeOp(bytes);
    if (op === undefined || (op.t !== 'delta' && op.t !== 'create')) return bytes;
    try {
      const change = decodeChange(op.d);
      const ops = change.ops.map((each, i) => (i === 0 ? { ...each, pred: each.pred.slice(1) } : each));
      return encodeOp({ ...op, d: encodeChange({ ...change, ops }) });
    } catch {
      return bytes; // the members of a private record
    }
  }

  /** Some pen writes on what it has seen; now and then it sees more, and now and then it spoils its op. */
  step(): void {
    const pen = this.#pens[Math.floor(this.#random() * this.#pens.length)];
    if (pen === undefined) return;
    const share = this.#crowd
      ? ([0, 0.1, 0.3, 1][Math.floor(this.#random() * 4)] ?? 1)
      : this.#random() < 0.5
        ? 1
        : 0.4;
    for (const op of this.ops) if (this.#random() < share) pen.seen.add(op);
    const seen = this.ops.filter((op) => pen.seen.has(op));
    const known = seen.length === 0 ? undefined : evaluateWhole(this.key, seen, this.members).state;
    const draft = this.#draft(pen, known, seen);
    for (const bytes of draft?.ops ?? []) {
      pen.seq++;
      const roll = this.#random();
      const spoiled =
        roll < 0.04
          ? encodeOp({ v: 1, c: 'listings', k: 'x', t: 'delta', d: bytes })
          : roll < 0.12
            ? this.#forgetful(bytes)
            : bytes;
      const time = [1000 + Math.floor(this.#random() * 50), 0] as const;
      const placed = { author: pen.author, channel: this.#channel, epoch: pen.epoch, seq: pen.seq, index: 0 };
      // Half of them from clocks that are ahead of ours.
      const arrived = Math.floor(this.#random() * 100) * 10;
      const op: PlacedOp = {
        ...placed,
        bytes: spoiled,
        time: [time[0] + 600_000, 0],
        arrived: arrived * 1000,
      };
      this.ops.push(op);
      pen.seen.add(op);
    }
  }
}

/** As the database would give it back; `expect` only for what differs, it is slow. */
function same(one: unknown, other: unknown, at: string): void {
  const [a, b]: unknown[] = [one, other].map((value) => JSON.parse(JSON.stringify(value)));
  if (!isDeepStrictEqual(a, b)) expect(a, at).toEqual(b);
}

/** An order of arrival: each feed in its own order, the feeds mixed. */
function arrival(random: () => number, ops: readonly PlacedOp[]): PlacedOp[] {
  const feeds = new Map<string, PlacedOp[]>();
  for (const op of ops) feeds.set(op.epoch, [...(feeds.get(op.epoch) ?? []), op]);
  const order: PlacedOp[] = [];
  const calm = random() < 0.4;
  if (calm) return [...ops];
  for (let left = [...feeds.values()]; left.length > 0; left = left.filter((feed) => feed.length > 0)) {
    const op = left[Math.floor(random() * left.length)]?.shift();
    if (op !== undefined) order.push(op);
  }
  return order;
}

const drafted = { base: 0 };

/** As the ledger does: an actor that the state does not know, and whose feed holds nothing of the record, begins. */
function meet(state: OpenState, placed: PlacedOp, before: readonly PlacedOp[]): void {
  const actor = actorOf(placed.author, placed.epoch, state.key);
  if (state.rest?.actors === undefined || state.seqs[actor] !== undefined) return;
  if (!before.some(({ author, epoch }) => author === placed.author && epoch === placed.epoch))
    state.seqs[actor] = [0, 0];
}

/** As it is stored. */
function stored(state: OpenState): RecordState {
  const seqs = Object.fromEntries(Object.entries(state.seqs).filter(([, [seq]]) => seq > 0));
  return { ...state, seqs };
}

test('op by op, the fast path or the full replay where it declines, is the evaluation of everything', () => {
  const seen = {
    fast: 0,
    slow: 0,
    linear: 0,
    long: 0,
    waits: 0,
    void: 0,
    conflicts: 0,
    ownMissing: 0,
    erased: 0,
  };
  const beyond = { heads: 0, actors: 0, values: 0 };
  for (let i = 0; i < HISTORIES; i++) {
    const random = seededRandom(SEED + i);
    const kind = (['public', 'private', 'private', 'fact', 'message'] as const)[i % 5] ?? 'public';
    const crowd = i % 50 === 0 || i % 50 === 26;
    const history = new History(random, kind, crowd);
    for (let n = (crowd ? 30 : 3) + Math.floor(random() * 12); n > 0; n--) history.step();
    const taken: PlacedOp[] = [];
    let state: RecordState | undefined;
    let verdicts: Verdict[] = [];
    for (const placed of arrival(random, history.ops)) {
      const read = readOp(placed);
      // As the ledger does: what is void by itself is not kept with the record.
      if ('problem' in read) continue;
      const open = openState(state ?? emptyState(history.key, read.collection, placed.channel));
      meet(open, placed, taken);
      taken.push(placed);
      const whole = evaluateWhole(history.key, taken, history.members);
      const untouched = JSON.stringify(open);
      const verdict = applyFast(open, read, placed, history.members);
      const at = `COUNT=1 SEED=${SEED + i}, op ${taken.length} of a ${kind} record`;
      if (verdict === undefined) {
        seen.slow++;
        expect(JSON.stringify(open), `${at}: declined and changed`).toBe(untouched);
        state = whole.state;
        verdicts = [...whole.verdicts];
      } else {
        seen.fast++;
        state = stored(open);
        verdicts = [...verdicts, verdict];
      }
      same(state, whole.state, at);
      same(verdicts, whole.verdicts, at);
      // Where the history is linear the rule's own replay gives the values of Automerge, and so it does where it is too long to be merged.
      const { outline, values: linear } = runAll(evaluate(history.key, taken, history.members));
      if (linear !== undefined) {
        seen.linear++;
        same(withValues(outline, linear), whole.state, at);
      }
      if (linear === undefined) {
        const { values } = runAll(evaluate(history.key, taken, history.members, { merged: 0 }));
        if (values !== undefined) {
          seen.long++;
          same(withValues(outline, values), whole.state, at);
        }
      }
      // And the order of the set does not matter.
      const mixed = runAll(evaluate(history.key, [...taken].reverse(), history.members));
      same(mixed.outline, outline, at);
      same([...mixed.verdicts].reverse(), whole.verdicts, at);
      for (const part of ['heads', 'actors', 'values'] as const)
        if (state.rest?.[part] !== undefined) beyond[part]++;
      expect(state.heads.length).toBeLessThanOrEqual(HOT.heads);
      expect(Object.keys(state.seqs).length).toBeLessThanOrEqual(HOT.actors);
    }
    seen.waits += verdicts.filter((v) => v.state === 'pending').length;
    seen.void += verdicts.filter((v) => v.state === 'rejected').length;
    seen.erased += verdicts.filter((v) => v.state === 'rejected' && v.code === 'record-erased').length;
    seen.ownMissing += verdicts.filter((v) => v.state === 'rejected' && v.code === 'pred-own-missing').length;
    seen.conflicts += Object.keys(state?.conflicts ?? {}).length;
  }
  console.info(`${HISTORIES} histories from seed ${SEED}: ${JSON.stringify({ ...seen, beyond, drafted })}`);
  for (const [what, count] of Object.entries(seen)) expect(count, what).toBeGreaterThan(HISTORIES / 100);
  for (const [what, count] of Object.entries(beyond)) expect(count, what).toBeGreaterThan(0);
}, 240_000);
