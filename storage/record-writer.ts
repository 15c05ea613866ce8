import type { Scalar } from '../protocols/open-dialog/change.ts';
import type { RecordState } from '../protocols/open-dialog/record.ts';
import { NumberBytesError, NumberWriter } from './number-bytes.ts';
import {
  ACTOR_DIGITS,
  COMPACT,
  FIRST_OP,
  FLAG,
  HASH_DIGITS,
  isHex,
  isOddName,
  KIND,
  kindOfNumber,
  KINDS,
  localIdOf,
  odd,
  partsOf,
  RARE,
} from './record-format.ts';
import { numberOfName } from './record-names.ts';

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

  /** Its length is among the numbers, in UTF-16 code units. */
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

/** For anything else `NaN`, which is not a counter. */
function digitOf(code: number): number {
  return code >= 0x30 && code <= 0x39 ? code - 0x30 : Number.NaN;
}

function kindOf(value: boolean | null | undefined): number {
  if (value === undefined) return KIND.none;
  if (value === null) return KIND.null;
  return value ? KIND.true : KIND.false;
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
