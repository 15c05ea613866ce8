import { type AccessControl, openAccess } from '../access/access.ts';
import { definePart } from '../parts.ts';
import type { Node } from './running.ts';

/** Access control: API keys and tokens. */
export function defineKeys(
  node: Pick<Node, 'settings' | 'db' | 'refusal' | 'clock' | 'env' | 'hooks' | 'logger'>,
  apiKey: string,
) {
  return definePart<AccessControl>('keys', async () => {
    const { db, settings, logger, refusal, env, clock, hooks } = node;
    const control = await openAccess({
      db,
      settings,
      apiKey,
      logger,
      refusal: () => refusal.get(),
      env,
      clock,
    });
    hooks.reopened.on('access', () => control.reload());
    hooks.recovered.on('access', () => control.recovered());
    return { face: control, stop: () => control.stop() };
  });
}
