/** The worst stall of each round, in milliseconds of the main thread's processor time. */
export interface Stalls {
  readonly control: readonly number[];
  readonly attack: readonly number[];
}

/** A stall below this is the garbage collector's or the machine's, not a frame's. */
const FLOOR_MS = 15;
/** What no frame of anybody may cost between two turns of the loop. */
const BOUND_MS = 50;

/** Collects the worst stall of round after round. */
export class StallRounds {
  readonly #rounds: { control: number; attack: number }[] = [];

  begin(): void {
    this.#rounds.push({ control: 0, attack: 0 });
  }

  /** Before the first `begin` nothing is kept: compiling is nobody's stall. */
  note(during: keyof Stalls, ms: number): void {
    const round = this.#rounds.at(-1);
    if (round !== undefined) round[during] = Math.max(round[during], ms);
  }

  get stalls(): Stalls {
    const of = (during: keyof Stalls): number[] => this.#rounds.map((round) => round[during]);
    return { control: of('control'), attack: of('attack') };
  }
}

/**
 * What is wrong with the stalls under attack; empty when nothing is. In the middle of the rounds they are at most twice those of
 * honest work: the garbage collector strikes in any one of them. No round has one over the bound that honest work keeps, too.
 */
export function stallFaults({ control, attack }: Stalls): string[] {
  const faults: string[] = [];
  const usual = 2 * Math.max(middle(control), FLOOR_MS);
  if (!(middle(attack) <= usual)) faults.push(`the middle stall is ${middle(attack)} ms, over ${usual}`);
  const bound = Math.max(BOUND_MS, 2 * Math.max(...control));
  for (const stall of attack) if (!(stall <= bound)) faults.push(`a stall of ${stall} ms, over ${bound}`);
  return faults;
}

function middle(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}
