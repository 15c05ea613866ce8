/** What each change of a history has seen: for each actor the last of its sequences, 0 where it has seen none. */
export type Clock = Uint32Array;

/** Changes by their numbers: each with its actor's place, its sequence and the changes that it follows. */
export interface ChangeGraph {
  place(change: number): number;
  seq(change: number): number;
  follows(change: number): Iterable<number>;
}

/**
 * Clocks kept at most, bytes. One clock per change, each as long as the number of actors, would grow with the square of a record:
 * ten thousand consecutive epochs took gigabytes. A clock that is not kept is computed again from the changes it follows.
 */
const KEPT_BYTES = 32 * 1024 * 1024;
/** The size of a clock besides its numbers: its array's two objects and its entry in the table. */
const OVERHEAD_BYTES = 256;
/** Numbers compared in one piece. */
const PIECE = 65_536;
/** So many of them cost what looking at one change does. */
const STEP = 50;

/** The clocks of one history. The results do not depend on which of them are kept. */
export class Clocks {
  readonly #graph: ChangeGraph;
  readonly #most: number;
  readonly #places = new Map<string, number>();
  /** The one that was used last comes last. */
  readonly #kept = new Map<number, Clock>();
  #bytes = 0;

  constructor(graph: ChangeGraph, most = KEPT_BYTES) {
    this.#graph = graph;
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
  keep(change: number, seen: Clock): void {
    const place = this.#graph.place(change);
    const clock = seen.length > place ? seen : extended(seen, place + 1);
    clock[place] = this.#graph.seq(change);
    this.#keep(change, clock);
  }

  /** What a change that follows these has seen. Yields after each piece of work. */
  *seenBy(follows: readonly number[]): Generator<void, Clock> {
    const graph = this.#graph;
    // Of clocks that are kept: whatever it has seen, it has all that comes before.
    const seen = new Uint32Array(this.#places.size);
    const walked = new Set<number>();
    const todo = [...follows];
    let work = 0;
    for (let change = todo.pop(); change !== undefined; change = todo.pop()) {
      if (isSeen(seen, graph.place(change), graph.seq(change)) || walked.has(change)) continue;
      const clock = this.#kept.get(change);
      if (clock === undefined) {
        walked.add(change);
        todo.push(...graph.follows(change));
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
    for (const change of walked) {
      const place = graph.place(change);
      seen[place] = Math.max(seen[place] ?? 0, graph.seq(change));
    }
    return seen;
  }

  #keep(change: number, clock: Clock): void {
    this.#kept.set(change, clock);
    this.#bytes += bytesOf(clock);
    for (const [oldest, other] of this.#kept) {
      if (this.#bytes <= this.#most) return;
      this.#kept.delete(oldest);
      this.#bytes -= bytesOf(other);
    }
  }
}

export function isSeen(seen: Clock, place: number, seq: number): boolean {
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
