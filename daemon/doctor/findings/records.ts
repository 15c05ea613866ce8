import { error, info, warning } from '../finding-kind.ts';

/** What is stored: rows, feeds, ops and fields. */
export const RECORDS = {
  'rows-mended': warning('scrub', 'stored rows were wrong and were made anew', 'agrinet scrub'),
  'entries-damaged': error(
    'scrub',
    'stored entries cannot be read',
    'agrinet rebuild (while the daemon is stopped)',
  ),
  'feed-forked': warning('forks', 'a node has signed two histories', 'agrinet suspend {node}'),
  'own-feed-forked': error(
    'forks',
    'somebody else signs with this node’s key',
    'a new identity: move DATA_DIR away and join anew',
  ),
  'ops-pending': info('quarantine', 'ops wait for what has not come yet', 'agrinet sync'),
  'ops-pending-long': warning(
    'quarantine',
    'the same for more than an hour',
    'agrinet sync; if nobody registered here has what they wait for: agrinet join <a node that has it>',
  ),
  'ops-rejected': {
    ...info('quarantine', 'ops without effect', 'write it again where it is still wanted'),
    lasting: 'what was signed stays signed',
  },
  'conflicts-open': warning(
    'conflicts',
    'two writers changed a field at once, and this node may settle it',
    'agrinet conflicts (and POST /conflicts/<id>/settle with the value that shall stand)',
  ),
  'conflicts-elsewhere': info(
    'conflicts',
    'the same in records of others',
    'agrinet conflicts, at the node of a writer',
  ),
} as const;
