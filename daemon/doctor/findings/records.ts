import { error, info, warning } from '../finding-kind.ts';

/** Stored data: rows, feeds, ops and fields. */
export const RECORDS = {
  'rows-repaired': warning('scrub', 'stored rows were wrong and were rebuilt', 'agrinet scrub'),
  'entries-damaged': error(
    'scrub',
    'stored entries cannot be read',
    'agrinet rebuild (while the daemon is stopped)',
  ),
  'feed-forked': warning('forks', 'a node has signed two histories', 'agrinet suspend {node}'),
  'own-feed-forked': error(
    'forks',
    'somebody else signs with this node’s key',
    'take a new identity: move DATA_DIR away and join again',
  ),
  'ops-pending': info(
    'quarantine',
    'ops are pending: something they depend on has not arrived',
    'agrinet sync',
  ),
  'ops-pending-long': warning(
    'quarantine',
    'ops have been pending for more than an hour',
    'agrinet sync; if no registered node has what is missing: agrinet join <a node that has it>',
  ),
  'ops-rejected': {
    ...info('quarantine', 'ops were rejected', 'repeat the write where it is still wanted'),
    lasting: 'what was signed cannot be unsigned',
  },
  'conflicts-open': warning(
    'conflicts',
    'two writers changed a field at the same time, and this node can resolve it',
    'agrinet conflicts (and POST /conflicts/<id>/resolve with the value to keep)',
  ),
  'conflicts-elsewhere': info(
    'conflicts',
    'records of other nodes have conflicts',
    'agrinet conflicts, on the node of one of the writers',
  ),
} as const;
