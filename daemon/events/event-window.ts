import type { EventRow } from '../../storage/event-table.ts';

type EventData = EventRow['data'];

export interface WindowLimits {
  /** Events kept in memory, so that clients that were away for a moment need no disk reads. */
  readonly window: number;
  /** Events waiting to be written. */
  readonly unwritten: number;
  /** Characters of their JSON. */
  readonly unwrittenChars: number;
}

/** The newest events in memory, oldest first: those that are not on disk yet, and some of those that are. */
export class EventWindow {
  readonly #limits: WindowLimits;
  readonly #events: EventRow[] = [];
  readonly #chars = new WeakMap<EventData, number>();
  #heldChars = 0;
  #written: number;
  #lost = 0;
  #lostThrough = 0;

  /** `written`: the last number that is on disk. */
  constructor(limits: WindowLimits, written: number) {
    this.#limits = limits;
    this.#written = written;
  }

  /** The number of the oldest event here. */
  get oldest(): number | undefined {
    return this.#events[0]?.id;
  }

  /** The last number that is on disk, or was given up. */
  get written(): number {
    return this.#written;
  }

  /** The last event that was dropped: delivered but never stored. */
  get lostThrough(): number {
    return this.#lostThrough;
  }

  get hasUnwritten(): boolean {
    return (this.#events.at(-1)?.id ?? 0) > this.#written;
  }

  /** Characters of the JSON of an event's data; remembered for when it is put in. */
  measure(data: EventData): number {
    const chars = JSON.stringify(data).length;
    this.#chars.set(data, chars);
    return chars;
  }

  push(event: EventRow): void {
    this.#events.push(event);
    this.#heldChars += this.#charsOf(event);
    this.#trim();
  }

  unwritten(): EventRow[] {
    return this.#events.filter(({ id }) => id > this.#written);
  }

  markWritten(last: number): void {
    this.#written = last;
    this.#trim();
  }

  after(id: number, limit: number): EventRow[] {
    return this.#events.filter((event) => event.id > id).slice(0, limit);
  }

  /** An event that never had a number is given up too. */
  dropUnnumbered(): void {
    this.#lost += 1;
  }

  /** How many events were given up since this was asked last. */
  takeLost(): number {
    const lost = this.#lost;
    this.#lost = 0;
    return lost;
  }

  /** Puts others in the place of events. */
  replace(replacement: (event: EventRow) => EventRow): void {
    this.#events.forEach((event, at) => (this.#events[at] = replacement(event)));
    this.#heldChars = this.#events.reduce((sum, event) => sum + this.#charsOf(event), 0);
  }

  /** Drops what is on disk and, when too much waits for the disk, what is not. */
  #trim(): void {
    const { window, unwritten, unwrittenChars } = this.#limits;
    for (let first = this.#events[0]; first !== undefined; first = this.#events[0]) {
      const kept = first.id <= this.#written;
      const many = this.#events.length > (kept ? window : unwritten);
      if (!many && this.#heldChars <= unwrittenChars) return;
      this.#events.shift();
      this.#heldChars -= this.#charsOf(first);
      if (kept) continue;
      this.#lost += 1;
      this.#lostThrough = first.id;
    }
  }

  #charsOf({ data }: EventRow): number {
    return this.#chars.get(data) ?? 0;
  }
}
