import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { type Job, type JobAttempts, JOB_NAMES, JOB_STATES } from '../../api/ports/jobs.ts';
import { AgrinetError, errorCode } from '../../protocols/errors.ts';

/** The daemon answers in milliseconds; a disk that it waits for may take seconds. */
const ANSWER_MS = 15_000;
/** How long a daemon that is away is waited for with a report; later its lease is over anyhow and the job is done again. */
const PATIENCE_MS = 5 * 60_000;
/** Between two tries at a daemon that is away: a restart takes a few seconds. */
const LONGEST_WAIT_MS = 5000;

const time = z.iso.datetime().transform((text) => Date.parse(text));
const json = z.record(z.string(), z.json());
/** Its optional fields are of no use to a worker. */
const jobAnswer: z.ZodType<Job, unknown> = z.object({
  id: z.string(),
  name: z.enum(JOB_NAMES),
  data: json,
  key: z.string(),
  state: z.enum(JOB_STATES),
  attempts: z.number(),
  maxAttempts: z.number(),
  createdAt: time,
  runAt: time,
});
const claimAnswer = z.object({ job: jobAnswer, attempt: z.string(), leaseMs: z.number().min(100) });
const nodesAnswer = z.object({
  nodes: z.array(
    z.looseObject({
      nodeId: z.string().optional(),
      peerId: z.string().optional(),
      status: z.string(),
      lastSyncAt: z.union([z.string(), z.number(), z.null()]).optional(),
    }),
  ),
});
const refusal = z.object({ code: z.string().optional(), error: z.string().optional() });

/** The daemon as a worker in another process sees it. Throws `daemon-unreachable`, or what the daemon refuses with. */
export interface WorkerApi {
  readonly attempts: JobAttempts;
  /** Active nodes and when they were last synced with, in milliseconds since 1970; 0 for never. */
  nodes(): Promise<{ readonly id: string; readonly lastSyncAt: number }[]>;
  enqueueSync(source: string): Promise<void>;
  /** Throws `request-refused` when the key is not one of a worker. */
  check(): Promise<void>;
}

/** `stop` ends waiting for a daemon that is away. */
export function createWorkerApi(
  baseUrl: string,
  key: string,
  stop: AbortSignal,
  patienceMs = PATIENCE_MS,
): WorkerApi {
  const base = baseUrl.replace(/\/+$/, '');

  async function once(method: string, path: string, body?: unknown): Promise<unknown> {
    let response: Response;
    let text: string;
    try {
      response = await fetch(base + path, {
        method,
        headers: { 'x-api-key': key, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(ANSWER_MS),
        redirect: 'manual',
      });
      text = await response.text();
    } catch (cause) {
      throw new AgrinetError('daemon-unreachable', `no daemon answers at ${base}`, { cause });
    }
    if (response.ok) return text === '' ? undefined : parsed(text);
    const { code, error } = refusal.safeParse(parsed(text)).data ?? {};
    // A proxy in front of a daemon that is away, or one that is short of something: the same as no answer.
    if (response.status === 429 || response.status >= 500)
      throw new AgrinetError('daemon-unreachable', `the daemon at ${base} answered ${response.status}`);
    throw new AgrinetError(code ?? 'request-refused', error ?? `the daemon answered ${response.status}`);
  }
  /** Asks until the daemon answers; every report may be repeated, the daemon takes it once. */
  async function patiently(method: string, path: string, body?: unknown): Promise<unknown> {
    const end = performance.now() + patienceMs;
    for (let wait = 200; ; wait = Math.min(LONGEST_WAIT_MS, wait * 2)) {
      try {
        return await once(method, path, body);
      } catch (error) {
        if (errorCode(error) !== 'daemon-unreachable' || performance.now() > end || stop.aborted) throw error;
        await pause(wait / 2 + (wait / 2) * Math.random(), undefined, { signal: stop }).catch(() => {
          throw error;
        });
      }
    }
  }
  const pathOf = (id: string, what: string): string => `/jobs/${encodeURIComponent(id)}/${what}`;
  const known = <T>(answer: z.ZodType<T, unknown>, value: unknown): T => {
    const result = answer.safeParse(value);
    if (result.success) return result.data;
    throw new AgrinetError('request-refused', `what answers at ${base} is no agrinetd of this version`);
  };

  const attempts: JobAttempts = {
    claim: async (id) => known(claimAnswer, await patiently('POST', pathOf(id, 'claim'))),
    async progress(id, attempt, progress) {
      await once('POST', pathOf(id, 'progress'), {
        attempt,
        ...(progress === undefined ? {} : { progress }),
      });
    },
    complete: async (id, attempt, result) =>
      known(jobAnswer, await patiently('POST', pathOf(id, 'complete'), { attempt, result })),
    fail: async (id, attempt, error) =>
      known(jobAnswer, await patiently('POST', pathOf(id, 'fail'), { attempt, error })),
    async release(id, attempt) {
      await once('POST', pathOf(id, 'release'), { attempt });
    },
  };
  return {
    attempts,
    async nodes() {
      const { nodes } = known(nodesAnswer, await once('GET', '/federation/nodes'));
      return nodes.flatMap(({ nodeId, peerId, status, lastSyncAt }) => {
        const id = nodeId ?? peerId;
        if (id === undefined || status !== 'active') return [];
        const at = typeof lastSyncAt === 'number' ? lastSyncAt : Date.parse(lastSyncAt ?? '');
        return [{ id, lastSyncAt: Number.isNaN(at) ? 0 : at }];
      });
    },
    async enqueueSync(source) {
      await once('POST', '/jobs', { name: 'federation-sync', data: { source } });
    },
    async check() {
      try {
        await once('POST', pathOf('none', 'claim'));
      } catch (error) {
        if (errorCode(error) === 'not-found') return;
        if (errorCode(error) === 'daemon-unreachable') throw error;
        throw new AgrinetError(
          'request-refused',
          `The daemon at ${base} refuses this API_KEY; a worker needs one with the scope worker: agrinet keys issue`,
          { cause: error },
        );
      }
    },
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // a page of a proxy, or of something else
  }
}
