import type { EventLogName, EventPlace, EventsPort, PushEvent, DeliverableEvent } from './ports/events.ts';

type Places = Pick<EventsPort, 'newest' | 'encryptPlace' | 'decryptPlace'>;

/** `12` for a listener of the public log alone; with the private one `12.` and its encrypted position, or that alone. */
const LAST_EVENT_ID = /^(\d{1,15})?(?:\.([A-Za-z0-9_-]{22}))?$/;

/** Before the first event: the listener has missed something of the log and receives `reset`. */
const LOST = -1;

/**
 * A listener's position in each log that it may hear, from its Last-Event-ID; without one it receives only new events. An id without
 * a valid position in such a log (truncated, of another node, of somebody with less access) is treated as one with missed events
 * there.
 */
export function placeIn(
  events: Places,
  logs: readonly EventLogName[],
  lastEventId: string | undefined,
): EventPlace {
  if (lastEventId === undefined || lastEventId === '') return {};
  const [, open, encrypted] = LAST_EVENT_ID.exec(lastEventId) ?? [];
  const places: Record<EventLogName, number> = {
    public: open === undefined ? LOST : Number(open),
    private: (encrypted === undefined ? undefined : events.decryptPlace(encrypted)) ?? LOST,
  };
  return Object.fromEntries(logs.map((log) => [log, places[log]]));
}

/**
 * Gives the events of one listener the ids with which it resumes: its position in each log that it may hear. The position in the
 * private log is encrypted, because it also counts events for others.
 */
export function numbered(
  events: Places,
  logs: readonly EventLogName[],
  after: EventPlace,
  push: PushEvent,
): (event: DeliverableEvent, log: EventLogName) => Promise<void> | undefined {
  const place = { ...events.newest(), ...after };
  const hears = new Set(logs);
  const idNow = (): string =>
    (hears.has('public') ? String(Math.max(0, place.public)) : '') +
    (hears.has('private') ? `.${events.encryptPlace(Math.max(0, place.private))}` : '');
  return (event, log) => {
    if (event.id === undefined) return push(event);
    place[log] = event.id;
    return hears.has('private') ? push(event, idNow()) : push(event);
  };
}
