import type { RecordKey } from '../../wire/ids.ts';

/** What a contract is listed under. */
export interface ListedUnder {
  /** Time of its newest step that counts, milliseconds since 1970. */
  readonly at: number;
  readonly isPublic: boolean;
  /** Parties of this node, `user@peer-id`. */
  readonly users: readonly string[];
  readonly listing: string;
  readonly request: string;
}

/** Its position, from a moment on. */
interface Place {
  readonly at: number;
  readonly since: number;
}

interface Placed extends ListedUnder, Place {
  readonly key: RecordKey;
  /** Its older places, the last one last. */
  readonly before: readonly Place[];
}

/** Older places of one contract that are kept: a walk through a list takes minutes, and a contract some dozens of steps in all. */
const PLACES = 64;
/** Moves that are known one by one; a walk that began before them is as good as one that begins after the oldest. */
const MOVES = 20_000;

export interface OrderPage {
  readonly keys: readonly RecordKey[];
  readonly cursor?: string;
}

/** The place that a page ended at, in the order as it was at `moment`. */
interface Cursor {
  readonly moment: number;
  readonly at: number;
  readonly key: string;
}

/** Newest first; equal ones by key. */
function compare(a: { at: number; key: string }, b: { at: number; key: string }): number {
  return b.at - a.at || (a.key < b.key ? 1 : a.key > b.key ? -1 : 0);
}

/**
 * The order of contracts in lists: by the newest step of each. Steps continue while a client reads page by page, so a walk keeps the
 * order of the moment at which it began: every contract that was there then appears once, however often it moves meanwhile. In
 * memory, a few hundred bytes for each contract.
 */
export class ContractOrder {
  readonly #placed = new Map<RecordKey, Placed>();
  /** All of them in order; undefined while something has moved since. */
  #sorted: Placed[] | undefined;
  /** Contracts that have moved, the last one last. */
  #moved: { readonly key: RecordKey; readonly since: number }[] = [];
  #lastMoment = 0;

  /** Contracts that were there at the start have always had their position: `moment` 0. */
  put(key: RecordKey, under: ListedUnder, moment: number): void {
    const known = this.#placed.get(key);
    if (known?.at === under.at) {
      this.#placed.set(key, { ...known, ...under });
      this.#sorted = undefined;
      return;
    }
    // No two moves at one moment: a walk begins between them.
    const since = moment === 0 ? 0 : Math.max(moment, this.#lastMoment + 1);
    this.#lastMoment = Math.max(this.#lastMoment, since);
    const before = known === undefined ? [] : [...known.before, { at: known.at, since: known.since }];
    this.#placed.set(key, { key, ...under, since, before: before.slice(-PLACES) });
    this.#sorted = undefined;
    if (since === 0) return;
    this.#moved.push({ key, since });
    if (this.#moved.length > 2 * MOVES) this.#moved = this.#moved.slice(-MOVES);
  }

  delete(key: RecordKey): void {
    if (this.#placed.delete(key)) this.#sorted = undefined;
  }

  /** The next `limit` of those that `wants`, after the position of a cursor; an invalid cursor begins again. */
  page(wants: (under: ListedUnder) => boolean, limit: number, cursorText: string | undefined): OrderPage {
    const cursor = readCursor(cursorText);
    const sorted = (this.#sorted ??= [...this.#placed.values()].sort(compare));
    // Of moves of what this list does not show its cursors say nothing.
    const moment = cursor?.moment ?? newestMoment(sorted, wants);
    const keys: RecordKey[] = [];
    let last: { at: number; key: RecordKey } | undefined;
    for (const next of merged(stillThere(sorted, moment, cursor), this.#elsewhere(moment, cursor))) {
      if (!wants(next.placed)) continue;
      if (keys.length === limit && last !== undefined)
        return { keys, cursor: `${moment}.${last.at}.${last.key}` };
      keys.push(next.key);
      last = next;
    }
    return { keys };
  }

  /** Those that have moved since the moment, where they were then. */
  #elsewhere(moment: number, cursor: Cursor | undefined): InOrder[] {
    const found = new Map<RecordKey, InOrder>();
    for (let i = this.#moved.length - 1; i >= 0; i--) {
      const move = this.#moved[i];
      if (move === undefined || move.since <= moment) break;
      const placed = this.#placed.get(move.key);
      if (placed === undefined || found.has(move.key)) continue;
      const at = placeAt(placed, moment);
      const then = at === undefined ? undefined : { at, key: move.key, placed };
      if (then !== undefined && isAfter(then, cursor)) found.set(move.key, then);
    }
    return [...found.values()].sort(compare);
  }
}

interface InOrder {
  readonly at: number;
  readonly key: RecordKey;
  readonly placed: Placed;
}

const isAfter = (place: { at: number; key: string }, cursor: Cursor | undefined): boolean =>
  cursor === undefined || compare(place, cursor) > 0;

/** Those after the cursor that have not moved since the moment. */
function* stillThere(
  sorted: readonly Placed[],
  moment: number,
  cursor: Cursor | undefined,
): Generator<InOrder> {
  let from = 0;
  for (let to = sorted.length; from < to;) {
    const middle = (from + to) >> 1;
    const placed = sorted[middle];
    if (placed !== undefined && !isAfter(placed, cursor)) from = middle + 1;
    else to = middle;
  }
  for (let i = from; i < sorted.length; i++) {
    const placed = sorted[i];
    if (placed !== undefined && placed.since <= moment) yield { at: placed.at, key: placed.key, placed };
  }
}

function* merged(one: Iterable<InOrder>, others: readonly InOrder[]): Generator<InOrder> {
  let i = 0;
  for (const next of one) {
    for (let other = others[i]; other !== undefined && compare(other, next) < 0; other = others[++i])
      yield other;
    yield next;
  }
  for (let other = others[i]; other !== undefined; other = others[++i]) yield other;
}

/** Its position at a moment; undefined if it was not there yet. */
function placeAt(placed: Placed, moment: number): number | undefined {
  if (placed.since <= moment) return placed.at;
  const then = placed.before.findLast(({ since }) => since <= moment);
  // For a moment before the oldest position kept, the oldest one is used.
  return (then ?? (placed.before.length === PLACES ? placed.before[0] : undefined))?.at;
}

function newestMoment(sorted: readonly Placed[], wants: (under: ListedUnder) => boolean): number {
  let newest = 0;
  for (const placed of sorted) if (placed.since > newest && wants(placed)) newest = placed.since;
  return newest;
}

function readCursor(text: string | undefined): Cursor | undefined {
  const [, moment, at, key] = /^(\d{1,16})\.(\d{1,16})\.(.+)$/.exec(text ?? '') ?? [];
  return key === undefined ? undefined : { moment: Number(moment), at: Number(at), key };
}
