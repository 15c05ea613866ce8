import { error, info, warning } from '../finding-kind.ts';

const REPLACED = 'upgrade this agrinetd; nothing is lost meanwhile';

/** Other nodes, and what comes from them. */
export const FEDERATION = {
  'dht-empty': warning(
    'dht',
    'peers are connected and none speaks our DHT',
    'MYCELIUM_NETWORK=<the name that the others have>, or MYCELIUM_PEERS=<a node of it>',
  ),
  'peer-away': warning(
    'peers',
    'a registered node cannot be reached',
    'start that node again, or if it is gone for good: agrinet suspend {node}',
  ),
  'peer-late': info(
    'peers',
    'the same in the first minute',
    'start that node again, or if it is gone for good: agrinet suspend {node}',
  ),
  'source-wants-key': warning(
    'peers',
    'a source refuses us for want of a key',
    'agrinet nodes add {url} --key-file <file with the key>; then agrinet sync',
  ),
  'node-pending': info(
    'registrations',
    'a node waits for the operator’s word',
    'agrinet nodes approve {node}, or agrinet nodes revoke {node}',
  ),
  'node-suspended': info('registrations', 'a node is suspended', 'agrinet resume {node}'),
  'node-revoked': info('registrations', 'a node is revoked', 'agrinet nodes approve {node}'),
  'node-newer': warning('schema', 'a node has a newer schema', REPLACED),
  'ops-newer': warning('schema', 'ops of a newer schema wait', REPLACED),
  'entries-lacking': warning(
    'gaps',
    'a peer shows entries that do not come',
    'agrinet sync, once what else is found is mended',
  ),
  'feeds-lacking': warning(
    'gaps',
    'an author names feeds that nobody brings',
    'agrinet import-feed <a file that agrinet export-feed has made where they are>',
  ),
  'digest-differs': error(
    'digests',
    'equal entries and another state of their records',
    'agrinet scrub, here and at {peer}',
  ),
  'digests-not-compared': info(
    'digests',
    'a peer’s version judges a collection otherwise',
    'upgrade whichever of the two is older; nothing is lost meanwhile',
  ),
  'feed-stalled': warning(
    'stalls',
    'a peer that is there takes no more of a feed of this node',
    'ask the operator of {node} for what agrinet doctor says there: a full disk, a quota, an older version',
  ),
  'entries-forgotten': info(
    'forgotten',
    'a revoked node’s entries were forgotten here',
    'agrinet nodes approve {node}, if they are to come back',
  ),
  'author-near-quota': warning(
    'quotas',
    'a node’s entries are near what is kept of one',
    'agrinet nodes set {node} --quota-mb {mb}',
  ),
  'author-many-waiting': warning('quotas', 'as many ops of a node wait as may', 'AUTHOR_QUOTA_PENDING={ops}'),
  'recovery-fence': warning(
    'rejoin',
    'no new commitments after a loss, until the peers have answered',
    'start the nodes named, or agrinet rejoin --force',
  ),
} as const;
