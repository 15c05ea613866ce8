/** A field's value. A safe integer is an `int`, any other finite number a `float64`; -0 has no encoding. */
export type Scalar = string | number | boolean | null;

/** Which operation: `actor` is 32 lower-case hex digits, `counter` from 1 to 2^31-1. */
export interface OpId {
  readonly counter: number;
  readonly actor: string;
}

/** One write of one field; only a `set` has a `value`. `pred` are the writes it replaces, each named once. */
export interface FieldOp {
  readonly action: 'set' | 'del';
  readonly field: string;
  readonly value?: Scalar;
  readonly pred: readonly OpId[];
}

/** A change; `time` is what its author wrote, in the author's unit, and `deps` are hashes in hex, sorted. */
export interface Change {
  readonly actor: string;
  readonly seq: number;
  readonly startOp: number;
  readonly time: number;
  readonly deps: readonly string[];
  readonly ops: readonly FieldOp[];
}

/** A change as read from its bytes. */
export interface DecodedChange extends Change {
  readonly hash: string;
}
