import type { WantsPort } from '../../api/ports/wants.ts';
import type { Notices } from '../notices/start-notices.ts';
import { definePart, type Face } from '../parts.ts';
import type { Directory } from '../users/directory.ts';
import type { OpenWants } from '../wants/open-wants.ts';
import type { Market } from './market.ts';
import type { Node } from './running.ts';

export interface WantsComponents {
  readonly users: Face<Pick<Directory, 'isUser'>>;
  readonly market: Pick<Market, 'fence'>;
  readonly notices: Face<Pick<Notices, 'raise'>>;
}

/** Saved searches of users. A node without any loads nothing of it until it is used. */
export function defineWants(
  node: Pick<Node, 'identity' | 'db' | 'store' | 'env' | 'refusal' | 'hooks' | 'logger'>,
  { users, market, notices }: WantsComponents,
) {
  return definePart<WantsPort>('wants', async () => {
    const { identity, db, store, env, refusal, hooks, logger } = node;
    let opening: Promise<OpenWants> | undefined;
    const open = async (): Promise<OpenWants> => {
      const { openWants } = await import('../wants/open-wants.ts');
      return openWants({
        self: identity.peerId,
        db,
        rows: store.changedListings,
        fence: market.fence.face,
        raise: (found, beside) => notices.face.raise(found, beside),
        isUser: (userId) => users.face.isUser(userId),
        refusal: () => refusal.get(),
        env,
        warn: (message, fields) => logger.warn(fields, message),
      });
    };
    const opened = (): Promise<OpenWants> =>
      (opening ??= open().catch((error: unknown) => {
        opening = undefined; // the next one who asks may find the disk again
        throw error;
      }));
    if (store.changedListings.isThere) await opened();
    hooks.committed.on('wants', async ({ changes }) => {
      if (opening === undefined || !changes.some(({ key }) => key.startsWith('listings/'))) return;
      (await opening).follower.wake();
    });
    hooks.reopened.on('wants', async () => {
      if (opening === undefined) return;
      const { book, follower } = await opening;
      await book.load();
      follower.wake();
    });
    const face: WantsPort = {
      list: async (...page) => (await opened()).book.list(...page),
      get: async (...of) => (await opened()).book.get(...of),
      save: async (...want) => (await opened()).book.save(...want),
      remove: async (...of) => (await opened()).book.remove(...of),
    };
    return { face, stop: async () => (await opening)?.follower.stop() };
  });
}
