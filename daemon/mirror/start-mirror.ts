import type { Visibility } from '../../api/ports/registration.ts';
import { type ClientOptions, createTables } from '../../storage/mirror/client.ts';
import { META } from '../../storage/mirror/holder.ts';
import { type MirrorLimits, MIRROR_LIMITS } from '../../storage/mirror/limits.ts';
import { Mirror } from '../../storage/mirror/mirror.ts';
import type { Node } from '../parts/running.ts';
import type { Settings } from '../settings.ts';
import { createProjection, type ProjectionParts } from './projection.ts';
import { TABLES } from './tables.ts';

/** Without a region a DynamoDB of one's own takes any. */
const ANY_REGION = 'us-east-1';

/** The mirror of a running node. */
export interface RunningMirror extends Pick<Mirror, keyof Mirror> {
  readonly prefix: string;
  /** A line for `/ready` when something works only in part; how many rows that concerns is the operator's. */
  degraded(sees: Visibility): string[];
}

/** Starts the mirror of a node; undefined when it is off. */
export function startNodeMirror(
  node: Pick<Node, 'outbox' | 'db' | 'settings' | 'identity' | 'alarms' | 'clock' | 'env' | 'logger'>,
  market: Pick<ProjectionParts, 'reader' | 'contracts' | 'conversations' | 'ratings'>,
  changed: Partial<MirrorLimits> = {},
): RunningMirror | undefined {
  const { outbox, db, settings, identity, alarms, logger, env } = node;
  if (outbox === undefined) return undefined;
  const self = identity.peerId;
  const client = clientOptions(settings, process.env);
  const limits: MirrorLimits = { ...MIRROR_LIMITS, ...changed };
  const mirror = new Mirror({
    db,
    outbox,
    tables: (signal) => createTables([...TABLES, META], { ...client, signal, env }, limits),
    tablesId: JSON.stringify([client.endpoint ?? '', client.region, client.prefix]),
    projection: createProjection({
      db,
      self,
      network: settings.myceliumNetwork,
      publicUrl: settings.publicUrl,
      ...market,
    }),
    self,
    limits,
    claim: Buffer.from(env.bytes(12)).toString('hex'),
    env,
    log: (level, message, fields) => logger[level](fields, message),
    onTrouble: (state, detail) => {
      if (state === 'tables-missing' || state === 'refused' || state === 'denied' || state === 'displaced')
        alarms.raise({ kind: `mirror-${state}`, detail });
    },
  });
  return {
    snapshot: () => mirror.snapshot(),
    holder: () => mirror.holder(),
    init: (takeOver) => mirror.init(takeOver),
    verify: () => mirror.verify(),
    repair: (options) => mirror.repair(options),
    stop: () => mirror.stop(),
    prefix: client.prefix,
    degraded(sees) {
      const { state, detail, pending, refused } = mirror.snapshot();
      const works = state === 'running' || state === 'filling' || state === 'starting';
      if (sees === 'public') return works ? [] : [`the DynamoDB mirror is ${state}`];
      const lines: string[] = [];
      if (!works) lines.push(`the DynamoDB mirror is ${state}, ${pending} rows wait: ${detail}`);
      if (refused > 0) lines.push(`DynamoDB takes ${refused} rows not at all: agrinet mirror status`);
      return lines;
    },
  };
}

/**
 * Where the tables are, and with which keys. Credentials in the environment are left to the SDK's own chain, which knows session
 * tokens and profiles; only those from a file or a systemd credential are passed on.
 */
export function clientOptions(
  settings: Pick<
    Settings,
    'awsRegion' | 'dynamodbEndpoint' | 'mirrorPrefix' | 'awsAccessKeyId' | 'awsSecretAccessKey'
  >,
  env: Readonly<Record<string, string | undefined>>,
): Omit<ClientOptions, 'signal' | 'env'> {
  const { awsAccessKeyId: id, awsSecretAccessKey: secret } = settings;
  const fromEnv = id === env['AWS_ACCESS_KEY_ID'] && secret === env['AWS_SECRET_ACCESS_KEY'];
  return {
    endpoint: settings.dynamodbEndpoint,
    region: settings.awsRegion ?? ANY_REGION,
    prefix: settings.mirrorPrefix ?? '',
    ...(id === undefined || secret === undefined || fromEnv
      ? {}
      : { credentials: { accessKeyId: id, secretAccessKey: secret } }),
  };
}
