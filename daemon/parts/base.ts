import type { Env } from '../../protocols/env.ts';
import type { Identity } from '../../protocols/wire/identity.ts';
import { createAlarms } from '../alarms.ts';
import { createHooks } from '../hooks.ts';
import type { Logger } from '../logger.ts';
import { createNodeClock } from '../node-clock.ts';
import type { Outside } from '../outside.ts';
import type { PartList } from '../parts.ts';
import type { Settings } from '../settings.ts';

export interface Given {
  readonly settings: Settings;
  readonly identity: Identity;
  readonly logger: Logger;
  readonly outside: Outside;
}

/** The base of all other parts: identity, settings, time, hooks, and alarms. */
export function defineBase(parts: PartList, { settings, identity, logger, outside }: Given) {
  const clock = createNodeClock({
    env: outside.env,
    onStep: (stepMs) => logger.warn({ stepMs }, 'the clock of this machine was set'),
  });
  parts.add({ name: 'clock', start: async () => clock.start(), stop: async () => clock.stop() });
  const env: Env = { ...outside.env, now: clock.now };
  const hooks = createHooks((fields, message) => logger.error(fields, message));
  const alarms = createAlarms(logger, clock.now, clock.steady, hooks.alarmed.emit);
  hooks.failed.on('alarms', (listener) => alarms.raise({ kind: 'listener-failed', listener }));
  return { settings, identity, self: identity.peerId, logger, outside, clock, env, hooks, alarms };
}

export type Base = ReturnType<typeof defineBase>;
