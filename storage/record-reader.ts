import type { Scalar } from '../protocols/open-dialog/change.ts';
import type { ActorSeq } from '../protocols/open-dialog/hot.ts';
import type { RecordState } from '../protocols/open-dialog/record.ts';
import type { Channel, RecordKey } from '../protocols/wire/ids.ts';
import { NumberBytesError, NumberReader } from './number-bytes.ts';
import {
  ACTOR_DIGITS,
  ALL_FLAGS,
  COMPACT,
  FIRST_OP,
  FLAG,
  HASH_DIGITS,
  isOddName,
  KIND,
  kindOfNumber,
  KINDS,
  localIdOf,
  partsOf,
  RARE,
  type Tail,
} from './record-format.ts';
import { nameOfNumber, numberOfName } from './record-names.ts';

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

/** Texts, concatenated. */
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
