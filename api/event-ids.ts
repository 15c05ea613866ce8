import type { EventLogName, EventPlace, EventsPort, PushEvent, DeliverableEvent } from './ports/events.ts';

type Places = Pick<EventsPort, 'newest' | 'encryptPlace' | 'decryptPlace'>;

/** `12` for who hears the public log alone; with the private one `12.` and its encrypted place, or that alone. */
const LAST_EVENT_ID = /^(\d{1,15})?(?:\.([A-Za-z0-9_-]{22}))?$/;

/** Before everything: whoever is there has missed something of the log and is told `reset`. */
const LOST = -1;

/**
 * Where a listener is in each log that it hears, by its Last-Event-ID; without one it hears what happens from now on. An id that names
 * no place of such a log (cut short, of another node, of somebody who hears less) is the id of one who has missed something there.
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
 * Gives the events of one listener the ids that it comes back with: how far it is in each log that it hears. The number in the private log
 * is encrypted, because it counts what is for others as well.
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
