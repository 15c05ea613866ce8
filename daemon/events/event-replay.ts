import type { PushEvent, DeliverableEvent } from '../../api/ports/events.ts';
import type { CpuTurn } from '../../protocols/wire/cpu-turn.ts';
import type { EventRow, EventTable } from '../../storage/event-table.ts';
import type { EventWindow } from './event-window.ts';

/** Events read at once. */
const PAGE = 64;

export interface EventListener {
  readonly wants: (event: DeliverableEvent) => boolean;
  readonly push: PushEvent;
}

/** Where events are, and how far they go. */
export interface ReplaySource {
  readonly table: Pick<EventTable, 'read'>;
  readonly window: Pick<EventWindow, 'oldest' | 'lostThrough' | 'after'>;
  /** The oldest number that may be asked for; what lies below is gone. */
  readonly oldest: () => number;
  /** The number of the next event. */
  readonly next: () => number;
}

export interface Replay {
  readonly listener: EventListener;
  /** The listener is up to date: it receives new events from now on. Called in the same turn in which that is found. */
  readonly attach: () => unknown;
  readonly isOpen: () => boolean;
  /** Replaying from memory to many listeners at once would block the thread: all of them together yield. */
  readonly turn: Pick<CpuTurn, 'pause'>;
}

/**
 * Replays to a listener what comes after a number, from disk and memory, until it is up to date. When something is no longer kept,
 * an event `reset` `{oldest}` comes first.
 */
export async function replay(
  source: ReplaySource,
  after: number,
  { listener, attach, isOpen, turn }: Replay,
): Promise<void> {
  const { window } = source;
  let from = after;
  const oldest = source.oldest();
  if (after < oldest - 1 || after < window.lostThrough || after >= source.next()) {
    from = oldest - 1;
    await listener.push({ id: from, type: 'reset', data: { oldest } });
  }
  while (isOpen()) {
    const page = await pageAfter(source, from);
    for (const event of page.events) {
      await turn.pause();
      if (!isOpen()) return;
      from = event.id;
      const wait = listener.wants(event) ? listener.push(event) : undefined;
      if (wait !== undefined) await wait;
    }
    from = Math.max(from, page.through);
    // No await between this look and the listening: nothing falls between them.
    if (from >= source.next() - 1) {
      if (isOpen()) attach();
      return;
    }
  }
}

interface Page {
  readonly events: readonly EventRow[];
  /** The last number that was read. */
  readonly through: number;
}

/** What is in memory is replayed from there; earlier events are read from disk. */
function pageAfter(source: ReplaySource, from: number): Page | Promise<Page> {
  const start = source.window.oldest ?? source.next();
  if (from + 1 < start) return pageFromDisk(source, from, start);
  const events = source.window.after(from, PAGE);
  return { events, through: events.at(-1)?.id ?? source.next() - 1 };
}

async function pageFromDisk({ table }: ReplaySource, from: number, start: number): Promise<Page> {
  const page = await table.read(from, PAGE);
  const events = page.events.filter((event) => event.id < start);
  // An empty page: what was not kept is passed over.
  return { events, through: page.through > from ? Math.min(page.through, start - 1) : start - 1 };
}
