import type { EventLogName, EventsPort } from '../../api/ports/events.ts';
import type { Env } from '../../protocols/env.ts';
import type { Identity } from '../../protocols/wire/identity.ts';
import type { Database } from '../../storage/database.ts';
import { openEventTable } from '../../storage/event-table.ts';
import { createNumberCipher } from '../number-cipher.ts';
import { type EventLogOptions, EventLog } from './event-log.ts';

/** Events of this node, in two logs: public and private ones. */
export interface EventLogs extends Pick<
  EventsPort,
  'subscribe' | 'newest' | 'encryptPlace' | 'decryptPlace'
> {
  /** Tells and keeps an event: with an audience in the private log. Never blocks and never throws. */
  emit: EventLog['emit'];
  /** Of events with an audience, in the private log. */
  keep: EventLog['keep'];
  relay: EventLog['relay'];
  forget: EventLog['forget'];
  close: EventLog['close'];
}

/** Opens both logs. Places in the private one are encrypted with a key that only this identity has, so that they outlive a restart. */
export async function openEventLogs(
  db: Database,
  identity: Pick<Identity, 'privateKeyRaw'>,
  options: Omit<EventLogOptions, 'table' | 'env'> & {
    readonly env: EventLogOptions['env'] & Pick<Env, 'bytes'>;
  },
): Promise<EventLogs> {
  const logs: Readonly<Record<EventLogName, EventLog>> = {
    public: await EventLog.open({ ...options, table: await openEventTable(db, 'events') }),
    private: await EventLog.open({ ...options, table: await openEventTable(db, 'privateEvents') }),
  };
  // Whoever makes a place up gets what it may hear anyway.
  const places = createNumberCipher(identity, 'agrinet event places', options.env);
  return {
    encryptPlace: (place) => places.encrypt(place),
    decryptPlace: (text) => places.decrypt(text),
    emit(type, data, audience) {
      logs[audience === undefined ? 'public' : 'private'].emit(type, data, audience);
    },
    keep: (events, write) => logs.private.keep(events, write),
    relay: (type, data, audience) => logs.private.relay(type, data, audience),
    newest: () => ({ public: logs.public.newest(), private: logs.private.newest() }),
    subscribe({ logs: wanted, after, wants }, push) {
      const open = wanted.map((name) => {
        const place = after?.[name];
        return logs[name].subscribe(place === undefined ? { wants } : { after: place, wants }, (event) =>
          // How far back the private log goes would reveal how much is in it.
          push(event.type === 'reset' && name === 'private' ? { ...event, data: {} } : event, name),
        );
      });
      return {
        close() {
          for (const each of open) each.close();
        },
      };
    },
    async forget(names) {
      await Promise.all([logs.public.forget(names), logs.private.forget(names)]);
    },
    async close() {
      await Promise.all([logs.public.close(), logs.private.close()]);
    },
  };
}
