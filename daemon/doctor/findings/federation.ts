import { error, info, warning } from '../finding-kind.ts';

const UPGRADE = 'upgrade this agrinetd; nothing is lost meanwhile';

/** Other nodes, and data from them. */
export const FEDERATION = {
  'dht-empty': warning(
    'dht',
    'peers are connected, but none is in the DHT of this network',
    'MYCELIUM_NETWORK=<the name the others use>, or MYCELIUM_PEERS=<a node of that network>',
  ),
  'peer-away': warning(
    'peers',
    'a registered node cannot be reached',
    'restart that node, or if it is gone for good: agrinet suspend {node}',
  ),
  'peer-late': info(
    'peers',
    'a registered node has been unreachable for less than a minute',
    'restart that node, or if it is gone for good: agrinet suspend {node}',
  ),
  'source-wants-key': warning(
    'peers',
    'a source requires an API key',
    'agrinet nodes add {url} --key-file <file with the key>; then agrinet sync',
  ),
  'node-pending': info(
    'registrations',
    'a node is waiting for approval',
    'agrinet nodes approve {node}, or agrinet nodes revoke {node}',
  ),
  'node-suspended': info('registrations', 'a node is suspended', 'agrinet resume {node}'),
  'node-revoked': info('registrations', 'a node is revoked', 'agrinet nodes approve {node}'),
  'node-newer': warning('schema', 'a node has a newer schema', UPGRADE),
  'ops-newer': warning('schema', 'ops of a newer schema are pending', UPGRADE),
  'entries-lacking': warning(
    'gaps',
    'a peer shows entries that do not arrive',
    'agrinet sync, once the other findings are fixed',
  ),
  'feeds-lacking': warning(
    'gaps',
    'an author names feeds that nobody provides',
    'agrinet import-feed <a file made with agrinet export-feed on a node that has them>',
  ),
  'digest-differs': error(
    'digests',
    'a peer has the same entries but different records',
    'agrinet scrub, here and at {peer}',
  ),
  'digests-not-compared': info(
    'digests',
    'a peer runs a version that evaluates a collection differently',
    'upgrade whichever of the two is older; nothing is lost meanwhile',
  ),
  'feed-stalled': warning(
    'stalls',
    'a reachable peer accepts no more entries of this node',
    'ask the operator of {node} to run agrinet doctor: its disk may be full, a quota reached, or its version old',
  ),
  'entries-forgotten': info(
    'forgotten',
    'a revoked node’s entries were forgotten here',
    'agrinet nodes approve {node}, to get them back',
  ),
  'author-near-quota': warning(
    'quotas',
    'a node is close to its quota',
    'agrinet nodes set {node} --quota-mb {mb}',
  ),
  'author-many-waiting': warning(
    'quotas',
    'a node has reached its limit of pending ops',
    'AUTHOR_QUOTA_PENDING={ops}',
  ),
  'recovery-fence': warning(
    'rejoin',
    'no new commitments after a loss until the peers have answered',
    'start the nodes named, or agrinet rejoin --force',
  ),
} as const;
