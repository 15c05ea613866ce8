import { indexStart } from './indexes.ts';
import { range } from './keyspace.ts';
import type { Migration } from './migrations.ts';

/** Layout 9: listings are not indexed by the values that most of them have. */
export const COMMON_VALUES_LEFT_OUT: Migration = {
  to: 9,
  async run(level) {
    for (const start of [indexStart('listings.status', 'active'), indexStart('listings.type', 'offer')])
      await level.clear(range('index', start));
    return [];
  },
};
