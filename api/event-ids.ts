import type { EventLogName, EventPlace, EventsPort, PushEvent, TellableEvent } from './ports/events.ts';

type Places = Pick<EventsPort, 'newest' | 'sealPlace' | 'openPlace'>;

/** `12` for who hears the public log alone; with the private one `12.` and its sealed place, or that alone. */
const LAST_EVENT_ID = /^(\d{1,15})?(?:\.([A-Za-z0-9_-]{22}))?$/;

/** The places that a Last-Event-ID names; one that is none of ours is as good as none. */
export function placeIn(events: Places, lastEventId: string | undefined): EventPlace {
  const [, open, sealed] = LAST_EVENT_ID.exec(lastEventId ?? '') ?? [];
  const place = sealed === undefined ? undefined : events.openPlace(sealed);
  return {
    ...(open === undefined ? {} : { public: Number(open) }),
    ...(place === undefined ? {} : { private: place }),
  };
}

/**
 * Gives the events of one listener the ids that it comes back with: how far it is in each log that it hears. The number in the private log
 * is sealed, because it counts what is for others as well.
 */
export function numbered(
  events: Places,
  logs: readonly EventLogName[],
  after: EventPlace,
  push: PushEvent,
): (event: TellableEvent, log: EventLogName) => Promise<void> | undefined {
  const place = { ...events.newest(), ...after };
  const hears = new Set(logs);
  const idNow = (): string =>
    (hears.has('public') ? String(place.public) : '') +
    (hears.has('private') ? `.${events.sealPlace(place.private)}` : '');
  return (event, log) => {
    if (event.id === undefined) return push(event);
    place[log] = event.id;
    return hears.has('private') ? push(event, idNow()) : push(event);
  };
}
