import { appendFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { systemEnv } from '../../daemon/system-env.ts';
import { runWorker } from '../../daemon/jobs/worker-process.ts';

/** What `agrinet worker` runs, with a handler that takes its time and writes down what it did: `<worker> <job> <begun|done>`. */
const { REDIS_URL = '', BACKEND_URL = '', EFFECTS = '', NAME = '', WORK_MS = '100' } = process.env;

const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());
await runWorker(
  {
    env: systemEnv,
    redisUrl: REDIS_URL,
    backendUrl: BACKEND_URL,
    apiKey: 'worker-key-of-a-test',
    syncIntervalMinutes: 0,
    say: (line) => console.error(`${NAME}: ${line}`),
    handlers: {
      'federation-sync': async (job, { signal, progress }) => {
        appendFileSync(EFFECTS, `${NAME} ${job.id} begun\n`);
        await progress({ received: 1 });
        await pause(Number(WORK_MS), undefined, { signal });
        appendFileSync(EFFECTS, `${NAME} ${job.id} done\n`);
        return { received: 1 };
      },
    },
  },
  stop.signal,
);
