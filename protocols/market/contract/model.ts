import type { Transition } from './statement.ts';

/** The state of a contract. */
export type ContractState = 'draft' | 'proposed' | 'accepted' | 'settled' | 'cancelled' | 'disputed';

/** A contract as its first document names it. Parties and supplier are `user@peer`. */
export interface Contract {
  readonly key: string;
  readonly net: string;
  readonly parties: readonly [string, string];
  readonly supplier: string;
  /** True when it takes from a listing: the supplier's proposals are then holds and need `validUntil`. */
  readonly stock: boolean;
}

/**
 * An applied statement, with what follows from its own ancestors alone and therefore never changes. Sets of statements are bits of
 * one integer, so checking ancestry costs one step and not a search.
 */
export interface Step {
  readonly t: Transition;
  readonly bit: bigint;
  /** All its ancestors. */
  readonly past: bigint;
  /** All that counts and has it among its ancestors. */
  followers: bigint;
  /** The round in which its ancestors leave the contract, and so its own. */
  readonly round: number;
  /** What a resolve refers to, by name: every ground of the dispute that its signer knew. */
  readonly knows: ReadonlySet<string>;
}

/** Statements with all their ancestors, sorted by hash. */
export interface History {
  readonly contract: Contract;
  readonly all: readonly Step[];
  /** The same as bits. */
  readonly mask: bigint;
}
