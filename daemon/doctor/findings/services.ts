import { error, warning } from '../finding-kind.ts';

/** Jobs, Redis and the mirror. */
export const SERVICES = {
  'job-dead': warning('jobs', 'a job is dead', 'agrinet jobs retry {job}'),
  'job-wants-key': warning(
    'jobs',
    'a sync is dead for want of a key',
    'agrinet nodes add {url} --key-file <file with the key>; then agrinet jobs retry {job}',
  ),
  'jobs-behind': warning(
    'jobs',
    'the queue grows',
    'agrinet worker (with REDIS_URL=<a Redis> as many as it takes)',
  ),
  'redis-away': warning('redis', 'Redis does not answer', 'systemctl start redis-server'),
  'mirror-tables-missing': error('mirror', 'the mirror has no tables', 'agrinet mirror init'),
  'mirror-held': error(
    'mirror',
    'the tables are another node’s, or have other keys',
    'agrinet mirror init --take-over (from a node that is gone for good), or MIRROR_PREFIX=<one of this node’s own>',
  ),
  'mirror-denied': error(
    'mirror',
    'DynamoDB refuses the credentials',
    'AWS_ACCESS_KEY_ID=<id> AWS_SECRET_ACCESS_KEY=<secret>, allowed what README.md lists under The mirror',
  ),
  'mirror-displaced': error(
    'mirror',
    'a newer process holds the tables',
    'end the other process; then restart the daemon',
  ),
  'mirror-away': warning(
    'mirror',
    'DynamoDB does not answer',
    'DYNAMODB_ENDPOINT=<where DynamoDB answers>, or wait until it answers there',
  ),
  'mirror-behind': warning(
    'mirror',
    'items have waited for minutes',
    'agrinet mirror status; it goes when DynamoDB takes them, with more write capacity sooner',
  ),
  'mirror-items-refused': warning(
    'mirror',
    'DynamoDB takes some items not at all',
    'agrinet mirror status names them and why: change those records',
  ),
} as const;
