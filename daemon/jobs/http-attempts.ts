import { z } from 'zod';
import { type Job, type JobAttempts, JOB_NAMES, JOB_STATES } from '../../api/ports/jobs.ts';
import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import { type DaemonRequestParts, DaemonRequests } from './daemon-requests.ts';

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

/** The daemon as a worker in another process sees it. Throws `daemon-unreachable`, or what the daemon refuses with. */
export interface WorkerApi {
  readonly attempts: JobAttempts;
  /** Active nodes and when they were last synced with, in milliseconds since 1970; 0 for never. */
  nodes(): Promise<{ readonly id: string; readonly lastSyncAt: number }[]>;
  enqueueSync(source: string): Promise<void>;
  /** Throws `request-refused` when the key is not one of a worker. */
  check(): Promise<void>;
}

export function createWorkerApi(parts: DaemonRequestParts): WorkerApi {
  const requests = new DaemonRequests(parts);
  return {
    attempts: createHttpAttempts(requests),
    async nodes() {
      const { nodes } = known(nodesAnswer, await requests.once('GET', '/federation/nodes'), requests);
      return nodes.flatMap(({ nodeId, peerId, status, lastSyncAt }) => {
        const id = nodeId ?? peerId;
        if (id === undefined || status !== 'active') return [];
        const at = typeof lastSyncAt === 'number' ? lastSyncAt : Date.parse(lastSyncAt ?? '');
        return [{ id, lastSyncAt: Number.isNaN(at) ? 0 : at }];
      });
    },
    async enqueueSync(source) {
      await requests.once('POST', '/jobs', { name: 'federation-sync', data: { source } });
    },
    async check() {
      try {
        await requests.once('POST', pathOf('none', 'claim'));
      } catch (error) {
        if (errorCode(error) === 'not-found') return;
        if (errorCode(error) === 'daemon-unreachable') throw error;
        throw new AgrinetError(
          'request-refused',
          `The daemon at ${requests.base} refused this API_KEY; a worker needs a key with the scope worker: agrinet keys issue`,
          { cause: error },
        );
      }
    },
  };
}

function createHttpAttempts(requests: DaemonRequests): JobAttempts {
  return {
    claim: async (id) => known(claimAnswer, await requests.patiently('POST', pathOf(id, 'claim')), requests),
    async progress(id, attempt, progress) {
      const body = { attempt, ...(progress === undefined ? {} : { progress }) };
      await requests.once('POST', pathOf(id, 'progress'), body);
    },
    complete: async (id, attempt, result) =>
      known(
        jobAnswer,
        await requests.patiently('POST', pathOf(id, 'complete'), { attempt, result }),
        requests,
      ),
    fail: async (id, attempt, error) =>
      known(jobAnswer, await requests.patiently('POST', pathOf(id, 'fail'), { attempt, error }), requests),
    async release(id, attempt) {
      await requests.once('POST', pathOf(id, 'release'), { attempt });
    },
  };
}

function pathOf(id: string, what: string): string {
  return `/jobs/${encodeURIComponent(id)}/${what}`;
}

function known<T>(schema: z.ZodType<T, unknown>, value: unknown, { base }: { readonly base: string }): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new AgrinetError('request-refused', `the server at ${base} is not an agrinetd of this version`);
}
