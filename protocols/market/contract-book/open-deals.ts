import type { RecordKey } from '../../wire/ids.ts';
import type { HeldContract } from './types.ts';

/** Contracts that have not ended, by who has signed a step of them and the other party; in memory. */
export class OpenDeals {
  readonly #byPair = new Map<string, Set<RecordKey>>();
  readonly #pairs = new Map<RecordKey, readonly string[]>();

  /** Updates it for a contract's current state. */
  note(held: HeldContract): void {
    const { key } = held.state;
    for (const pair of this.#pairs.get(key) ?? []) this.#remove(pair, key);
    const pairs = pairsOf(held);
    if (pairs.length === 0) this.#pairs.delete(key);
    else this.#pairs.set(key, pairs);
    for (const pair of pairs) this.#byPair.set(pair, (this.#byPair.get(pair) ?? new Set()).add(key));
  }

  /** Whether `signer` has signed a step of a contract with `other` that is open. */
  has(signer: string, other: string): boolean {
    return this.#byPair.has(pairOf(signer, other));
  }

  #remove(pair: string, key: RecordKey): void {
    const keys = this.#byPair.get(pair);
    keys?.delete(key);
    if (keys?.size === 0) this.#byPair.delete(pair);
  }
}

/** Whether a step of this party counts: whoever has not signed one has agreed to nothing, and may not have read it. */
export function hasSigned({ statements, verdict }: HeldContract, party: string): boolean {
  const applied = new Set(verdict.applied);
  return statements.some(({ transition }) => transition.party === party && applied.has(transition.hash));
}

function pairsOf(held: HeldContract): string[] {
  const { state } = held.verdict;
  if (state === 'settled' || state === 'cancelled') return [];
  const { parties } = held.contract;
  return parties.flatMap((party) => {
    const other = parties.find((each) => each !== party);
    return other !== undefined && hasSigned(held, party) ? [pairOf(party, other)] : [];
  });
}

const pairOf = (signer: string, other: string): string => `${signer}\0${other}`;
