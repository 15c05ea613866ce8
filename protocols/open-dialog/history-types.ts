import type { OpId, Scalar } from './change.ts';

/** Some heads, and the actor's last sequence. */
export interface Follows {
  readonly actor: string;
  readonly heads: readonly string[];
  readonly seq: number;
}

/** What a change waits for, and the code that it is pending with. */
export interface Lack {
  readonly missing: string;
  readonly code: string;
}

/** A visible `set`: its id, and its position: the op of the record and the index in that change; or its value, where it is of the floor. */
export type ShownSet = OpId &
  ({ readonly at: number; readonly index: number } | { readonly value: Scalar; readonly at?: never });

/** The visible values of a field: as many as a state can show, the winner first, and their total number. */
export interface ShownField {
  readonly field: string;
  readonly first: ShownSet[];
  count: number;
}
