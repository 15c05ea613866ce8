/** What each change of a history has seen: at the place of an actor the last of its sequences, 0 where it has seen none. */
export type Clock = Uint32Array;

/** A change by its actor's place, its sequence and what it follows. */
export interface Clocked {
  readonly place: number;
  readonly seq: number;
  readonly follows: readonly Clocked[];
}

/**
 * Clocks kept at most, bytes. As many clocks as changes, each as long as there are actors, would grow with the square of a record: ten
 * thousand epochs that follow one another took gigabytes. What is not kept is found again from what it follows.
 */
const KEPT_BYTES = 32 * 1024 * 1024;
/** What a clock takes beside its numbers: its array's two objects and its place in the table. */
const OVERHEAD_BYTES = 256;
/** Numbers compared in one piece. */
const PIECE = 65_536;
/** So many of them cost what looking at one change does. */
const STEP = 50;

/** The clocks of one history. What they say does not depend on which of them are kept. */
export class Clocks {
  readonly #most: number;
  readonly #places = new Map<string, number>();
  /** The one that was used last comes last. */
  readonly #kept = new Map<Clocked, Clock>();
  #bytes = 0;

  constructor(most = KEPT_BYTES) {
    this.#most = most;
  }

  /** The place of an actor of whom a change counts. */
  placeOf(actor: string): number | undefined {
    return this.#places.get(actor);
  }

  /** The place of an actor of whom a change counts from now on. */
  placed(actor: string): number {
    const known = this.#places.get(actor);
    if (known !== undefined) return known;
    const place = this.#places.size;
    this.#places.set(actor, place);
    return place;
  }

  /** Keeps what a change has seen, itself included, made of what it follows has seen. */
  keep(change: Clocked, seen: Clock): void {
    const clock = seen.length > change.place ? seen : extended(seen, change.place + 1);
    clock[change.place] = change.seq;
    this.#keep(change, clock);
  }

  /** What is seen by who follows these changes. Yields after each piece of work. */
  *seenBy(follows: readonly Clocked[]): Generator<void, Clock> {
    // Of clocks that are kept: whatever it has seen, it has all that comes before.
    const seen = new Uint32Array(this.#places.size);
    const walked = new Set<Clocked>();
    const todo = [...follows];
    let work = 0;
    for (let change = todo.pop(); change !== undefined; change = todo.pop()) {
      if (isSeen(seen, change) || walked.has(change)) continue;
      const clock = this.#kept.get(change);
      if (clock === undefined) {
        walked.add(change);
        todo.push(...change.follows);
        work += STEP;
      } else {
        this.#kept.delete(change);
        this.#kept.set(change, clock);
        join(seen, clock);
        work += clock.length;
      }
      if (work < PIECE) continue;
      work = 0;
      yield;
    }
    for (const { place, seq } of walked) seen[place] = Math.max(seen[place] ?? 0, seq);
    return seen;
  }

  #keep(change: Clocked, clock: Clock): void {
    this.#kept.set(change, clock);
    this.#bytes += bytesOf(clock);
    for (const [oldest, other] of this.#kept) {
      if (this.#bytes <= this.#most) return;
      this.#kept.delete(oldest);
      this.#bytes -= bytesOf(other);
    }
  }
}

export function isSeen(seen: Clock, { place, seq }: Pick<Clocked, 'place' | 'seq'>): boolean {
  return (seen[place] ?? 0) >= seq;
}

function bytesOf(clock: Clock): number {
  return clock.byteLength + OVERHEAD_BYTES;
}

function join(into: Clock, other: Clock): void {
  for (let i = 0; i < other.length; i++) {
    const seq = other[i] ?? 0;
    if (seq > (into[i] ?? 0)) into[i] = seq;
  }
}

function extended(clock: Clock, length: number): Clock {
  const longer = new Uint32Array(length);
  longer.set(clock);
  return longer;
}
