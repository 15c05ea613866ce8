import type { User } from '../../api/ports/users.ts';
import { userTable } from '../../storage/user-table.ts';
import type { AccessControl } from '../access/access.ts';
import { definePart, type Face } from '../parts.ts';
import { Directory } from '../users/directory.ts';
import type { Node } from './running.ts';

/** Whom this node serves. */
export function defineUsers(
  node: Pick<Node, 'db' | 'refusal' | 'clock' | 'hooks' | 'logger'>,
  keys: Face<Pick<AccessControl, 'isUser' | 'holders'>>,
) {
  return definePart<Directory>('users', async () => {
    const { db, refusal, clock, hooks, logger } = node;
    const directory = await Directory.open({
      table: userTable<User>(db, () => logger.warn('a user in the directory is damaged and left out')),
      keys: keys.face,
      now: clock.now,
      refusal: () => refusal.get(),
    });
    hooks.reopened.on('users', () => directory.reload());
    return { face: directory };
  });
}
