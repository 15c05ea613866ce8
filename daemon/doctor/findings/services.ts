import { error, warning } from '../finding-kind.ts';

/** Jobs, Redis and the mirror. */
export const SERVICES = {
  'job-dead': warning('jobs', 'a job is dead', 'agrinet jobs retry {job}'),
  'job-wants-key': warning(
    'jobs',
    'a sync is dead because the source requires an API key',
    'agrinet nodes add {url} --key-file <file with the key>; then agrinet jobs retry {job}',
  ),
  'jobs-behind': warning(
    'jobs',
    'the job queue is falling behind',
    'agrinet worker, in as many processes as needed (requires REDIS_URL)',
  ),
  'redis-away': warning('redis', 'Redis does not answer', 'systemctl start redis-server'),
  'mirror-tables-missing': error('mirror', 'the mirror has no tables', 'agrinet mirror init'),
  'mirror-held': error(
    'mirror',
    'the tables belong to another node, or have a different key schema',
    'agrinet mirror init --take-over (from a node that is gone for good), or MIRROR_PREFIX=<a prefix of its own>',
  ),
  'mirror-denied': error(
    'mirror',
    'DynamoDB refuses the credentials',
    'AWS_ACCESS_KEY_ID=<id> AWS_SECRET_ACCESS_KEY=<secret>, with the permissions listed in systemd/README.md, "Mirror in DynamoDB"',
  ),
  'mirror-displaced': error(
    'mirror',
    'a newer process holds the tables',
    'end the other process; then restart the daemon',
  ),
  'mirror-away': warning(
    'mirror',
    'DynamoDB does not answer',
    'DYNAMODB_ENDPOINT=<the URL of DynamoDB>, or wait until it answers',
  ),
  'mirror-behind': warning(
    'mirror',
    'items have been waiting for more than five minutes',
    'agrinet mirror status; this clears once DynamoDB accepts them, sooner with more write capacity',
  ),
  'mirror-items-refused': warning(
    'mirror',
    'DynamoDB rejects some items',
    'agrinet mirror status lists them with the reason; change those records',
  ),
} as const;
