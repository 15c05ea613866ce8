import { Registry } from '../../protocols/registry/registry.ts';
import type { Database } from '../../storage/database.ts';
import { registryStore } from '../../storage/tables.ts';
import { openEventLogs } from '../events/event-logs.ts';
import { recordEvents } from '../events/record-events.ts';
import { definePart, type Face } from '../parts.ts';
import { openRejoin } from '../rejoin.ts';
import type { Base } from './base.ts';

/** The two logs of events. */
export function defineEvents({
  identity,
  settings,
  env,
  hooks,
  logger,
  database,
}: Pick<Base, 'identity' | 'settings' | 'env' | 'hooks' | 'logger'> & { readonly database: Face<Database> }) {
  return definePart('events', async () => {
    const events = await openEventLogs(database.face, identity, {
      env,
      warn: (message, fields) => logger.warn(fields, message),
    });
    hooks.committed.on('events', (committed) => {
      for (const { type, data, audience } of recordEvents(committed, settings.publicUrl))
        events.emit(type, data, audience);
    });
    hooks.registered.on('events', (node) => {
      logger.info({ peer: node.peerId, status: node.status }, 'registration');
      events.emit('federation.node', { node: node.peerId, status: node.status });
    });
    return { face: events, stop: () => events.close() };
  });
}

/** The registered nodes. */
export function defineRegistry({
  self,
  hooks,
  logger,
  database,
}: Pick<Base, 'self' | 'hooks' | 'logger'> & { readonly database: Face<Database> }) {
  return definePart('registry', async () => {
    const onDamaged = (key: string): void =>
      logger.error({ key }, 'a registration is damaged and has no effect; register that node again');
    const store = registryStore(database.face, onDamaged);
    const registry = await Registry.open(self, store, hooks.registered.emit);
    return { face: registry, stop: () => registry.flush() };
  });
}

/** Whether this node may promise something, or may have lost what it promised. */
export function defineRejoin({
  clock,
  env,
  hooks,
  alarms,
  logger,
  database,
  registry,
}: Pick<Base, 'clock' | 'env' | 'hooks' | 'alarms' | 'logger'> & {
  readonly database: Face<Database>;
  readonly registry: Face<Pick<Registry, 'list' | 'isActive'>>;
}) {
  return definePart('rejoin', async () => {
    const { rejoin, noteAlarm, stop } = await openRejoin(
      database.face,
      env,
      () => activePeers(registry.face),
      clock.steady,
      logger,
    );
    // What opening the store has found was raised before there was a rejoin.
    for (const alarm of alarms.list()) noteAlarm(alarm);
    hooks.alarmed.on('rejoin', noteAlarm);
    hooks.registered.on('rejoin', () => rejoin.peersChanged());
    hooks.pulled.on('rejoin', (event) => {
      if (event.kind === 'own-held' && registry.face.isActive(event.peer)) rejoin.answered(event.peer);
    });
    return { face: rejoin, stop };
  });
}

/** Those that are registered and not suspended. */
export function activePeers(registry: Pick<Registry, 'list'>): string[] {
  return registry.list().flatMap(({ peerId, status }) => (status === 'active' ? [peerId] : []));
}
