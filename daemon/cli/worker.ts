import { Command } from 'commander';
import { AgrinetError, errorMessage } from '../../protocols/errors.ts';
import { readLocalApiKey } from '../api-key.ts';
import type { JobHandlers } from '../jobs/job-queue.ts';
import { readSettings } from '../secrets.ts';
import { endAtOnce, inTerminal, onStopSignals, stopSignals } from '../service/signals.ts';
import { accountOf, isLoopbackHost, type Settings } from '../settings.ts';
import { systemEnv } from '../system-env.ts';
import { printLine } from './output.ts';

/** `agrinet worker`: runs the jobs of the daemon at BACKEND_URL until it is told to stop. */
export function workerCommand(): Command {
  return new Command('worker')
    .description(
      'process jobs of the daemon at BACKEND_URL through Redis at REDIS_URL; any number of workers can run',
    )
    .addHelpText(
      'after',
      '\nRequires the same REDIS_URL as the daemon, and an API_KEY with the scopes worker and read (agrinet keys issue).\nEach daemon needs a Redis database of its own.',
    )
    .action(async () => {
      const settings = readSettings();
      const { redisUrl, backendUrl } = settings;
      if (redisUrl === undefined)
        throw new AgrinetError(
          'settings-invalid',
          'REDIS_URL: not set. Workers take jobs from Redis; without it the daemon processes them itself.',
        );
      const local = isLoopbackHost(new URL(backendUrl).hostname);
      const apiKey = local ? await readLocalApiKey(settings) : settings.apiKey;
      if (apiKey === undefined)
        throw new AgrinetError(
          'settings-invalid',
          'API_KEY: not set. Set it to a key with the scope worker: agrinet keys issue',
        );
      const stop = new AbortController();
      onStopSignals(systemEnv, stopSignals(), () => stop.abort(), endAtOnce);
      if (!inTerminal()) process.on('SIGHUP', () => say('SIGHUP ignored: settings are read only at startup'));
      const { runWorker } = await import('../jobs/worker-process.ts'); // BullMQ, which no other command needs
      await runWorker(
        {
          env: systemEnv,
          redisUrl,
          backendUrl,
          apiKey,
          syncIntervalMinutes: settings.syncIntervalMinutes,
          handlers: await handlersOf(settings, apiKey),
          say,
        },
        stop.signal,
      );
      say('stopped');
    });
}

/** Reports of a worker. The reader may be gone, or the disk full: the work continues. */
function say(line: string): void {
  try {
    printLine(line);
  } catch (error) {
    process.stderr.write(`${errorMessage(error)}\n`);
  }
}

/** The jobs of a worker: syncs on behalf of the daemon behind its API, and SMS. */
async function handlersOf(settings: Settings, apiKey: string): Promise<JobHandlers> {
  const { createGuardedFetch } = await import('../federation/guarded-fetch.ts');
  const { HttpTarget } = await import('../federation/http-target.ts');
  const { syncHandler } = await import('../jobs/sync-handler.ts');
  const policy = { allowPrivate: settings.allowPrivatePeers, allowLoopback: isLoopbackHost(settings.host) };
  const account = accountOf(settings);
  const sms = account && (await import('../jobs/sms.ts')).smsHandler(account, systemEnv);
  return {
    'federation-sync': syncHandler({
      target: new HttpTarget(settings.backendUrl, apiKey, systemEnv),
      env: systemEnv,
      fetch: createGuardedFetch({ ...policy, env: systemEnv }),
    }),
    ...(sms === undefined ? {} : { sms }),
  };
}
