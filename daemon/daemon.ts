import { flushCompileCache } from 'node:module';
import { join } from 'node:path';
import { AgrinetError } from '../protocols/errors.ts';
import { fullKey } from '../storage/keyspace.ts';
import { exists, refuseNoFolder } from '../storage/folder.ts';
import { refuseHalfRestored } from '../storage/restored.ts';
import { openApiKey } from './api-key.ts';
import { shutFolder } from './folder-modes.ts';
import { identityPath, loadOrCreateIdentity, readIdentity } from './identity-file.ts';
import { lockIdentity } from './lock.ts';
import { createLogger, type Logger, standardOutput } from './logger.ts';
import { createNode, type Node } from './node.ts';
import { askHealth, createSelfCheck, type SelfCheck } from './service/self-check.ts';
import { createSupervision, type Supervision } from './service/supervision.ts';
import { ignoreHangups, stopSignalled } from './service/signals.ts';
import { type Settings, strayNames } from './settings.ts';
import { systemEnv } from './system-env.ts';

/** How long the end waits for the last lines of the log. */
const LOG_END_MS = 1000;

/**
 * Runs one daemon until it is told to stop: the first SIGTERM or SIGINT stops gracefully, another more than a second later at once.
 * Resolves when everything has stopped.
 */
export async function runDaemon(settings: Settings): Promise<void> {
  const logger = createLogger(settings);
  for (const { line } of strayNames(process.env)) logger.warn({ warning: line }, 'unknown setting ignored');
  const supervision = createSupervision(process.env, logger, systemEnv);
  try {
    await run(settings, logger, supervision);
  } finally {
    supervision.close();
    // A reader of the log that has stopped reading does not keep the process.
    await standardOutput().sink.close(LOG_END_MS);
  }
}

async function run(settings: Settings, logger: Logger, supervision: Supervision): Promise<void> {
  const isFirst = !(await exists(join(settings.dataDir, 'initialized')));
  const daemon = await startDaemon(settings, logger, (onHangup) => ignoreHangups(logger, onHangup));
  try {
    // Threads started from now on need not compile again what this one has; and a process that is killed writes nothing.
    flushCompileCache();
    if (isFirst)
      logger.info({ url: daemon.url }, 'to open the pages of this node in a browser, run: agrinet open');
    supervision.ready(selfCheck(daemon.node, daemon.url), () => statusLine(daemon.node));
    await stopSignalled(systemEnv);
    supervision.stopping();
  } finally {
    await daemon.stop();
  }
}

/** A daemon that serves its API. */
export interface RunningDaemon {
  readonly node: Node;
  readonly url: string;
  stop(): Promise<void>;
}

/**
 * Starts one daemon in this process; signals remain the caller's: `onHangup` is given what to do at a hangup, before the database is
 * opened, which may take long. What was started is stopped again when a later part fails.
 */
export async function startDaemon(
  settings: Settings,
  logger: Logger,
  onHangup: (look: () => void) => void = () => undefined,
): Promise<RunningDaemon> {
  await using starting = new AsyncDisposableStack();
  await refuseNoFolder(settings.dataDir);
  await refuseHalfRestored(settings.dataDir);
  await refuseLostIdentity(settings.dataDir);
  await shutModes(settings.dataDir, logger);
  const identity = await loadOrCreateIdentity(settings.dataDir, systemEnv);
  const lock = await lockIdentity(identity.peerId);
  starting.defer(() => lock.release());
  const apiKey = await openApiKey(settings.dataDir, settings, systemEnv);
  const running = await createNode({ settings, identity, apiKey, logger, onHangup });
  starting.defer(() => running.stop());
  const { peerId } = identity;
  logger.info({ peerId, network: settings.myceliumNetwork, region: settings.region }, 'started');
  const started = starting.move();
  return {
    node: running.node,
    url: running.url,
    async stop() {
      logger.info('stopping');
      await started.disposeAsync();
      logger.info('stopped');
    },
  };
}

/** What has to respond for the daemon to count as alive. */
function selfCheck(
  { ledger, db, refusal, env }: Pick<Node, 'ledger' | 'db' | 'refusal' | 'env'>,
  url: string,
): SelfCheck {
  const vitals = {
    ledger: () => ledger.drain(),
    storage: () => db.level.get(fullKey('meta', 'version')),
    storageTrouble: () => refusal.get(),
    reopening: () => db.failed,
    http: (signal: AbortSignal) => askHealth(url, signal),
  };
  return createSelfCheck(vitals, env);
}

/** One line for `systemctl status`. */
function statusLine({ refusal, registry, host }: Pick<Node, 'refusal' | 'registry' | 'host'>): string {
  const refused = refusal.get();
  if (refused !== undefined) return `not ready: ${refused.message}`;
  const connected = new Set(host.libp2p.getPeers().map(String));
  const active = registry.list().filter(({ status }) => status === 'active');
  const here = active.filter(({ peerId }) => connected.has(peerId)).length;
  return `ready, ${here} of ${active.length} registered nodes connected`;
}

/** Private messages are in the database: what others could read is shut before it is opened. */
async function shutModes(dataDir: string, logger: Logger): Promise<void> {
  const { open, left } = await shutFolder(dataDir, true);
  const corrected = left.length === 0;
  if (open > 0)
    logger.warn(
      { open, left },
      corrected
        ? 'files in DATA_DIR were readable by others; their permissions were corrected'
        : 'files in DATA_DIR are readable by others, and some of their permissions cannot be corrected',
    );
}

/** A database without its identity would continue under a new name, and its own records could never be changed again. */
async function refuseLostIdentity(dataDir: string): Promise<void> {
  const initialized = await exists(join(dataDir, 'initialized'));
  if (initialized && (await readIdentity(dataDir)) === undefined) {
    throw new AgrinetError(
      'identity-invalid',
      `${identityPath(dataDir)} is missing, but the database it belongs to exists; restore it from a backup`,
    );
  }
}
