import type { IssuedKey, KeyInfo, Keys } from '../../api/ports/access.ts';

/** What is told of each change of a key, once it is on disk. */
export interface KeyWatch {
  issued(key: IssuedKey): void;
  revoked(key: KeyInfo): void;
  /** It came with a node that is gone. */
  revokedWithNode(key: KeyInfo): void;
  rotated(previous: KeyInfo, successor: IssuedKey): void;
}

/** The same keys, each change of which is told. */
export function watchedKeys(keys: Keys, watch: KeyWatch): Keys {
  return {
    list: (query) => keys.list(query),
    async issue(request) {
      const issued = await keys.issue(request);
      watch.issued(issued);
      return issued;
    },
    async revoke(which) {
      const info = await keys.revoke(which);
      watch.revoked(info);
      return info;
    },
    async revokeAll(roots) {
      const ended = await keys.revokeAll(roots);
      for (const info of ended) watch.revokedWithNode(info);
      return ended;
    },
    async rotate(id, graceSeconds) {
      const rotated = await keys.rotate(id, graceSeconds);
      watch.rotated(rotated.previous, rotated.issued);
      return rotated;
    },
    validate: (userId, key) => keys.validate(userId, key),
    purgeExpired: (at) => keys.purgeExpired(at),
  };
}
