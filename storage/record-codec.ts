import type { RecordState } from '../protocols/open-dialog/record.ts';
import type { ActorSeq } from '../protocols/open-dialog/hot.ts';
import type { Scalar } from '../protocols/open-dialog/change.ts';
import type { Channel, RecordKey } from '../protocols/wire/ids.ts';
import { NumberBytesError, NumberReader, NumberWriter } from './number-bytes.ts';
import { nameOfNumber, numberOfName } from './record-names.ts';

/**
 * The state of a record as bytes; README, *Records*, has the layout. First come all numbers, then all texts one behind the
 * other. Each state has one spelling, and a reader takes no other: what is damaged is refused and never read as something else.
 */
export const COMPACT = 1;

const FLAG = {
  exists: 1,
  tombstone: 2,
  private: 4,
  /** Created and updated at one time. */
  oneTime: 8,
  /** The one head is the hash that the local id is: a public fact's. */
  headIsId: 16,
  /** Rare fields, as JSON at the end of the texts. */
  tail: 32,
} as const;
const ALL_FLAGS = 63;

/** What kind of value a field has, in the low bits; how many visible ops it has, above them. */
const KIND = {
  none: 0,
  text: 1,
  whole: 2,
  negative: 3,
  tenths: 4,
  hundredths: 5,
  double: 6,
  true: 7,
  false: 8,
  null: 9,
} as const;
const KINDS = 16;
/** The first counter of an op that sets a field, behind the genesis: ops of a creation are 0 from there. */
const FIRST_OP = 2;

const ACTOR_DIGITS = 32;
const HASH_DIGITS = 64;
const HEX = /^[0-9a-f]*$/;
const isHex = (text: string, digits: number): boolean => text.length === digits && HEX.test(text);

/** Names that an object does not keep, or not in their place. */
const isOddName = (name: string): boolean => name in Object.prototype || /^\d+$/.test(name);

type Placed =
  | 'key'
  | 'channel'
  | 'heads'
  | 'view'
  | 'fieldOps'
  | 'seqs'
  | 'maxOp'
  | 'created'
  | 'updated'
  | 'tombstone'
  | 'exists'
  | 'pending'
  | 'ops';
type Rare = Exclude<keyof RecordState, Placed>;
/** All fields that have no place among the numbers, in the order of the tail; complete by its type. */
const RARE_FIELDS = {
  conflicts: true,
  listed: true,
  erased: true,
  members: true,
  rest: true,
  unmerged: true,
} as const satisfies Readonly<Record<Rare, true>>;
const RARE = Object.keys(RARE_FIELDS) as readonly Rare[];
type Tail = { readonly [N in Rare]?: RecordState[N] };

const writer = new NumberWriter();

/** The bytes of a state, with room behind them; undefined for one that has a value which only JSON holds. */
export function encodeState(state: RecordState, room: number): Buffer | undefined {
  try {
    return new StateWriter(state).write(room);
  } catch (error) {
    if (error instanceof NumberBytesError) return undefined;
    throw error;
  }
}

const odd = (what: string): NumberBytesError => new NumberBytesError(`${what} has no compact form`);

class StateWriter {
  readonly #state: RecordState;
  /** Those with a value, then those whose deletions are visible. */
  readonly #names: string[];
  readonly #actors: string[];
  /** Of each visible op, in the order of the fields, its counter and the number of its actor. */
  readonly #ops: number[] = [];
  #texts = '';
  #expected = FIRST_OP;

  constructor(state: RecordState) {
    const { view, fieldOps, seqs } = state;
    this.#state = state;
    this.#names = Object.keys(view);
    for (const name of Object.keys(fieldOps)) if (!Object.hasOwn(view, name)) this.#names.push(name);
    for (const name of this.#names)
      if (numberOfName(name) === 0 && isOddName(name)) throw odd('the name of a field');
    this.#actors = Object.keys(seqs);
  }

  write(room: number): Buffer {
    const { key, channel, heads, maxOp, created, updated, tombstone, exists, pending, ops } = this.#state;
    const tail = tailText(this.#state);
    const oneTime = created[0] === updated[0] && created[1] === updated[1];
    const headIsId = heads.length === 1 && heads[0] === localIdOf(key);
    writer.begin();
    writer.byte(COMPACT);
    const length = writer.place();
    writer.byte(
      (exists ? FLAG.exists : 0) |
        (tombstone ? FLAG.tombstone : 0) |
        (channel === 'public' ? 0 : FLAG.private) |
        (oneTime ? FLAG.oneTime : 0) |
        (headIsId ? FLAG.headIsId : 0) |
        (tail === '' ? 0 : FLAG.tail),
    );
    if (channel !== 'public') this.#text(channel);
    writer.whole(created[0]);
    writer.whole(created[1]);
    if (!oneTime) {
      writer.signed(updated[0] - created[0]);
      writer.whole(updated[1]);
    }
    writer.whole(ops);
    writer.whole(pending);
    writer.whole(maxOp);
    if (!headIsId) this.#heads(heads);
    this.#actorTable();
    this.#fields();
    if (!this.#texts.isWellFormed()) throw odd('half a pair of surrogates');
    writer.lengthAt(length);
    writer.text(this.#texts + tail);
    return writer.taken(room);
  }

  /** How long it is stands among the numbers, in UTF-16 code units. */
  #text(text: string): void {
    writer.whole(text.length);
    this.#texts += text;
  }

  #heads(heads: readonly string[]): void {
    writer.whole(heads.length);
    for (const head of heads) {
      if (!isHex(head, HASH_DIGITS)) throw odd('a head');
      writer.hex(head);
    }
  }

  /** First those with a sequence, then what else is named by visible ops, in the order of the fields. */
  #actorTable(): void {
    const { seqs, fieldOps } = this.#state;
    const actors = this.#actors;
    const known = actors.length;
    for (const name of this.#names) for (const op of fieldOps[name] ?? []) this.#note(op);
    writer.whole(actors.length);
    writer.whole(known);
    for (let i = 0; i < actors.length; i++) {
      const actor = actors[i] ?? '';
      if (!isHex(actor, ACTOR_DIGITS)) throw odd('an actor');
      writer.hex(actor);
      const seq = i < known ? seqs[actor] : undefined;
      if (seq === undefined) continue;
      writer.whole(seq[0]);
      writer.whole(seq[1]);
    }
  }

  #note(op: string): void {
    const at = op.length - ACTOR_DIGITS - 1;
    let counter = 0;
    for (let i = 0; i < at; i++) counter = counter * 10 + digitOf(op.charCodeAt(i));
    const isOne = at > 0 && op[at] === '@' && (op[0] !== '0' || at === 1) && Number.isSafeInteger(counter);
    if (!isOne) throw odd('an op');
    const actors = this.#actors;
    let no = 0;
    while (no < actors.length && !op.endsWith(actors[no] ?? '')) no++;
    if (no === actors.length) actors.push(op.slice(at + 1));
    this.#ops.push(counter, no);
  }

  #fields(): void {
    const { view, fieldOps } = this.#state;
    const ops = this.#ops;
    const oneActor = this.#actors.length === 1;
    writer.whole(this.#names.length);
    let at = 0;
    for (const name of this.#names) {
      const no = numberOfName(name);
      writer.whole(no);
      if (no === 0) this.#text(name);
      const count = fieldOps[name]?.length;
      if (count === 0) throw odd('a field without visible ops');
      const value = Object.hasOwn(view, name) ? view[name] : undefined;
      if (value === undefined && count === undefined) throw odd('a field of nothing');
      this.#value(value, count ?? 0);
      for (const end = at + 2 * (count ?? 0); at < end; at += 2) {
        const counter = ops[at] ?? 0;
        writer.signed(counter - this.#expected);
        if (!oneActor) writer.whole(ops[at + 1] ?? 0);
        this.#expected = counter + 1;
      }
    }
  }

  #value(value: Scalar | undefined, ops: number): void {
    const packed = ops * KINDS;
    if (typeof value === 'string') {
      writer.whole(KIND.text + packed);
      this.#text(value);
    } else if (typeof value === 'number') {
      const kind = kindOfNumber(value);
      writer.whole(kind + packed);
      if (kind === KIND.double) writer.double(value);
      else writer.whole(Math.round(Math.abs(value) * partsOf(kind)));
    } else writer.whole(kindOf(value) + packed);
  }
}

/** Of what is none, `NaN`, which is no counter. */
function digitOf(code: number): number {
  return code >= 0x30 && code <= 0x39 ? code - 0x30 : Number.NaN;
}

function kindOf(value: boolean | null | undefined): number {
  if (value === undefined) return KIND.none;
  if (value === null) return KIND.null;
  return value ? KIND.true : KIND.false;
}

/** Prices have two decimals: as whole hundredths they take two or three bytes, not eight. */
function partsOf(kind: number): number {
  if (kind === KIND.tenths) return 10;
  return kind === KIND.hundredths ? 100 : 1;
}

function kindOfNumber(value: number): number {
  if (Number.isSafeInteger(value)) return value < 0 ? KIND.negative : KIND.whole;
  if (!Number.isFinite(value)) throw odd('no number');
  for (const kind of [KIND.tenths, KIND.hundredths]) {
    const parts = Math.round(value * partsOf(kind));
    if (parts > 0 && Number.isSafeInteger(parts) && parts / partsOf(kind) === value) return kind;
  }
  return KIND.double;
}

function tailText(state: RecordState): string {
  let tail: Record<string, unknown> | undefined;
  for (const name of RARE) {
    const value = state[name];
    if (value === undefined || (name === 'conflicts' && isEmpty(state.conflicts))) continue;
    tail ??= {};
    tail[name] = value;
  }
  return tail === undefined ? '' : JSON.stringify(tail);
}

function isEmpty(table: object): boolean {
  for (const name in table) return name === undefined;
  return true;
}

function localIdOf(key: RecordKey): string {
  return key.slice(key.lastIndexOf('/') + 1);
}

/** Throws `NumberBytesError` for everything that `encodeState` does not write. */
export function decodeState(key: RecordKey, bytes: Uint8Array): RecordState {
  return new StateReader(key, bytes).read();
}

const damaged = (what: string): NumberBytesError => new NumberBytesError(`the row has ${what}`);

class StateReader {
  readonly #key: RecordKey;
  readonly #numbers: NumberReader;
  readonly #texts: Texts;
  readonly #actors: string[] = [];
  #expected = FIRST_OP;
  /** Actors without a sequence that ops have named so far: they are numbered in that order. */
  #named = 0;

  constructor(key: RecordKey, bytes: Uint8Array) {
    this.#key = key;
    const reader = new NumberReader(bytes);
    if (reader.byte() !== COMPACT) throw damaged('an unknown form');
    const { numbers, text } = reader.split();
    this.#numbers = numbers;
    this.#texts = new Texts(text);
  }

  read(): RecordState {
    const numbers = this.#numbers;
    const flags = numbers.byte();
    if (flags > ALL_FLAGS) throw damaged('unknown flags');
    const channel = (flags & FLAG.private) === 0 ? 'public' : this.#channel();
    const created = [numbers.whole(), numbers.whole()] as const;
    const updated = (flags & FLAG.oneTime) === 0 ? this.#updated(created) : created;
    const ops = numbers.whole();
    const pending = numbers.whole();
    const maxOp = numbers.whole();
    const heads = this.#heads((flags & FLAG.headIsId) !== 0);
    const seqs = this.#actorTable();
    const { view, fieldOps } = this.#fields();
    if (!numbers.isDone()) throw damaged('more numbers than fields');
    const rest = this.#texts.rest();
    const hasTail = (flags & FLAG.tail) !== 0;
    if (!hasTail && rest !== '') throw damaged('more texts than fields');
    const state: RecordState = {
      key: this.#key,
      channel,
      heads,
      view,
      fieldOps,
      conflicts: {},
      seqs,
      maxOp,
      created,
      updated,
      tombstone: (flags & FLAG.tombstone) !== 0,
      exists: (flags & FLAG.exists) !== 0,
      pending,
      ops,
    };
    return hasTail ? Object.assign(state, tailOf(rest)) : state;
  }

  #channel(): Channel {
    const channel = this.#texts.next(this.#numbers.whole());
    if (channel === 'public') throw damaged('a channel that is public');
    return channel as Channel;
  }

  #updated(created: readonly [number, number]): readonly [number, number] {
    const updated = [created[0] + this.#numbers.signed(), this.#numbers.whole()] as const;
    if (!Number.isSafeInteger(updated[0]) || updated[0] < 0) throw damaged('a time that cannot be');
    if (updated[0] === created[0] && updated[1] === created[1]) throw damaged('one time twice');
    return updated;
  }

  #heads(headIsId: boolean): string[] {
    if (headIsId) return [localIdOf(this.#key)];
    const heads: string[] = [];
    for (let left = this.#numbers.whole(); left > 0; left--) heads.push(this.#numbers.hex(HASH_DIGITS / 2));
    if (heads.length === 1 && heads[0] === localIdOf(this.#key)) throw damaged('a head that the id tells');
    return heads;
  }

  #actorTable(): Record<string, ActorSeq> {
    const numbers = this.#numbers;
    // Names that no other record has: as properties of an ordinary object each would be a shape of its own.
    const seqs = Object.create(null) as Record<string, ActorSeq>;
    const count = numbers.whole();
    const known = numbers.whole();
    if (known > count) throw damaged('more sequences than actors');
    for (let i = 0; i < count; i++) {
      const actor = numbers.hex(ACTOR_DIGITS / 2);
      if (this.#actors.includes(actor)) throw damaged('an actor twice');
      this.#actors.push(actor);
      if (i < known) seqs[actor] = [numbers.whole(), numbers.whole()];
    }
    this.#named = known;
    return seqs;
  }

  #fields(): Pick<RecordState, 'view' | 'fieldOps'> {
    const numbers = this.#numbers;
    const view: Record<string, Scalar> = {};
    const fieldOps: Record<string, readonly string[]> = {};
    let valuesEnd = false;
    for (let left = numbers.whole(); left > 0; left--) {
      const name = this.#name();
      if (view[name] !== undefined || fieldOps[name] !== undefined) throw damaged('a field twice');
      const packed = numbers.whole();
      const kind = packed % KINDS;
      const count = (packed - kind) / KINDS;
      if (kind === KIND.none) valuesEnd = true;
      else if (valuesEnd) throw damaged('values in another order');
      else view[name] = this.#value(kind);
      if (kind === KIND.none && count === 0) throw damaged('a field of nothing');
      if (count > 0) fieldOps[name] = this.#ops(count);
    }
    if (this.#named !== this.#actors.length) throw damaged('an actor that nothing names');
    return { view, fieldOps };
  }

  #name(): string {
    const no = this.#numbers.whole();
    if (no !== 0) {
      const name = nameOfNumber(no);
      if (name === undefined) throw damaged('a field without a name');
      return name;
    }
    const name = this.#texts.next(this.#numbers.whole());
    if (numberOfName(name) !== 0 || isOddName(name)) throw damaged('a name written otherwise');
    return name;
  }

  #ops(count: number): string[] {
    const numbers = this.#numbers;
    const ops: string[] = [];
    for (let i = 0; i < count; i++) {
      const counter = this.#expected + numbers.signed();
      if (!Number.isSafeInteger(counter) || counter < 0) throw damaged('an op that cannot be');
      this.#expected = counter + 1;
      const at = this.#actors.length === 1 ? 0 : numbers.whole();
      const actor = this.#actors[at];
      if (actor === undefined || at > this.#named) throw damaged('an op of nobody');
      if (at === this.#named) this.#named++;
      ops.push(`${counter}@${actor}`);
    }
    return ops;
  }

  #value(kind: number): Scalar {
    const numbers = this.#numbers;
    switch (kind) {
      case KIND.text:
        return this.#texts.next(numbers.whole());
      case KIND.whole:
        return numbers.whole();
      case KIND.negative:
        return numberOfKind(-numbers.whole(), kind);
      case KIND.tenths:
      case KIND.hundredths:
        return numberOfKind(numbers.whole() / partsOf(kind), kind);
      case KIND.double:
        return numberOfKind(numbers.double(), kind);
      case KIND.true:
      case KIND.false:
        return kind === KIND.true;
      case KIND.null:
        return null;
      default:
        throw damaged('an unknown kind of value');
    }
  }
}

/** Texts one behind the other. */
class Texts {
  readonly #all: string;
  #at = 0;

  constructor(all: string) {
    this.#all = all;
  }

  next(length: number): string {
    const at = this.#at;
    this.#at += length;
    if (this.#at > this.#all.length) throw damaged('fewer texts than fields');
    return this.#all.slice(at, this.#at);
  }

  rest(): string {
    return this.#all.slice(this.#at);
  }
}

function tailOf(text: string): Tail {
  let tail: unknown;
  try {
    tail = JSON.parse(text);
  } catch {
    throw damaged('a tail that is no JSON');
  }
  if (typeof tail !== 'object' || tail === null || JSON.stringify(tail) !== text)
    throw damaged('a tail written otherwise');
  const names = Object.keys(tail);
  const { conflicts = { any: [] } } = tail as Tail;
  // Among the rare ones, in their order, and something of each.
  const inOrder = RARE.filter((name) => Object.hasOwn(tail, name));
  if (names.length === 0 || names.join() !== inOrder.join() || Object.keys(conflicts ?? {}).length === 0)
    throw damaged('a tail of something else');
  return tail;
}

function numberOfKind(value: number, kind: number): number {
  if (kindOfNumber(value) !== kind) throw damaged('a number of another kind');
  return value;
}
