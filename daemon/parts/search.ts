import type { OnUnread } from '../../protocols/unread.ts';
import { Searches } from '../../storage/search/search.ts';
import { SearchIndex } from '../../storage/search/search-index.ts';
import { definePart } from '../parts.ts';
import type { Node } from './running.ts';

/** The index of listings, and searches in it. */
export interface Search {
  readonly index: SearchIndex;
  readonly searches: Searches;
}

/** Follows the commits; what it has missed it reads while the node runs. */
export function defineSearch(node: Pick<Node, 'db' | 'store' | 'hooks' | 'logger'>, leftOut: OnUnread) {
  return definePart<Search>('search', () => {
    const { db, store, hooks, logger } = node;
    const index = new SearchIndex({
      db,
      changeOf: (state) => store.changeOf(state),
      warn: (message, fields) => logger.warn(fields, message),
    });
    hooks.committed.on('search', ({ changes }) => index.note(changes));
    hooks.repaired.on('search', () => index.again());
    hooks.reopened.on('search', () => index.reopened());
    index.start();
    return { face: { index, searches: new Searches(db, index, leftOut) }, stop: () => index.stop() };
  });
}
