import type { Keys } from '../../api/ports/access.ts';
import type { Logger } from '../logger.ts';
import type { KeyRing } from './key-ring.ts';

/** The key ring, each change of which is a line of the log. */
export function loggedKeys(ring: KeyRing, logger: Pick<Logger, 'info'>): Keys {
  return {
    list: (query) => ring.list(query),
    async issue(request) {
      const issued = await ring.issue(request);
      const { id, userId, scopes } = issued;
      logger.info({ id, userId, scopes }, 'API key issued');
      return issued;
    },
    async revoke(which) {
      const info = await ring.revoke(which);
      logger.info({ id: info.id, userId: info.userId }, 'API key revoked');
      return info;
    },
    async rotate(id, graceSeconds) {
      const rotated = await ring.rotate(id, graceSeconds);
      const { issued, previous } = rotated;
      logger.info(
        { id, userId: issued.userId, successor: issued.id, validUntil: previous.expiresAt },
        'API key rotated',
      );
      return rotated;
    },
    async revokeAll(roots) {
      const ended = await ring.revokeAll(roots);
      for (const { id, userId } of ended) logger.info({ id, userId }, 'API key revoked with its node');
      return ended;
    },
    validate: (userId, key) => ring.validate(userId, key),
    purgeExpired: (at) => ring.purgeExpired(at),
  };
}
