import { z } from '@hono/zod-openapi';
import { type Job, JOB_NAMES, JOB_STATES, type JobsPort } from '../ports/jobs.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { json, jsonInput, route, router } from '../route.ts';
import { count, flag, idParam, JsonObject, pageOf, pageQuery, text, timestamp } from '../schemas.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';
import { nextOf, placeOf } from '../paging.ts';

const tags = ['Jobs'];
const open = JsonObject;
const failure = z
  .object({ code: text('Error code.'), message: text('What went wrong.') })
  .openapi('JobError');

const JobBody = z
  .object({
    id: text('ID of the job.'),
    name: z.enum(JOB_NAMES),
    data: open,
    key: text('At most one job with the same key is waiting, delayed or active.'),
    state: z.enum(JOB_STATES),
    attempts: count('Number of attempts so far.'),
    maxAttempts: count('Number of attempts before the job is dead.'),
    createdAt: timestamp('When it was queued.'),
    runAt: timestamp('When the next attempt is due.'),
    endedAt: timestamp('When it ended.').optional(),
    progress: open.optional(),
    result: open.optional(),
    error: failure.optional(),
  })
  .openapi('Job');
const counts = z
  .object({
    waiting: count('Number of waiting jobs.'),
    delayed: count('Number of jobs that are not due yet.'),
    active: count('Number of running jobs.'),
    completed: count('Number of completed jobs.'),
    dead: count('Number of jobs that have failed for good.'),
  })
  .openapi('JobCounts');
const JobHealth = z
  .object({
    ok: flag('Whether jobs can be processed; false while Redis is unreachable.'),
    detail: text('What is wrong.'),
    counts,
  })
  .openapi('JobHealth');

/** Progress reports of a worker: few and small, since every one is stored. */
const told = z
  .record(z.string().max(64), z.union([z.string().max(2048), z.number(), z.boolean(), z.null()]))
  .refine((fields) => Object.keys(fields).length <= 32, 'must have at most 32 fields')
  .openapi('JobReport', {
    type: 'object',
    additionalProperties: { $ref: '#/components/schemas/ScalarOrNull' },
    description: 'Up to 32 fields.',
  });
const attempt = z.string().min(1).max(64).openapi({ description: '`attempt` of the claim.' });
const ClaimedJob = z
  .object({
    job: JobBody,
    attempt: text('Token of this attempt; required by all further requests.'),
    leaseMs: count('Time in milliseconds within which progress must be reported.'),
  })
  .openapi('ClaimedJob');
const OVER = ['attempt-over'] as const;

const list = route('operator', {
  operationId: 'listJobs',
  method: 'get',
  path: '/',
  tags,
  summary: 'List jobs, newest first',
  request: {
    query: z.object({
      state: z.enum(JOB_STATES).optional().openapi({ description: 'State of the jobs.' }),
      ...pageQuery,
    }),
  },
  responses: { 200: json(pageOf('jobs', JobBody), 'A page of jobs.') },
});
const health = route('operator', {
  operationId: 'getJobHealth',
  method: 'get',
  path: '/health',
  tags,
  summary: 'Retrieve the health of the job queue and the number of jobs by state',
  responses: {
    200: json(JobHealth, 'The health of the queue. Jobs are kept while it is not `ok`.'),
  },
});
const read = route('operator', {
  operationId: 'getJob',
  method: 'get',
  path: '/{id}',
  tags,
  summary: 'Retrieve a job',
  request: { params: idParam },
  responses: { 200: json(JobBody, 'The job.') },
});
const retry = route('operator', {
  operationId: 'retryJob',
  method: 'post',
  path: '/{id}/retry',
  tags,
  summary: 'Retry a dead job',
  request: { params: idParam },
  responses: { 200: json(JobBody, 'The job, waiting again.') },
  codes: ['job-not-dead', 'jobs-full'],
});
const enqueue = route('worker', {
  operationId: 'enqueueJob',
  method: 'post',
  path: '/',
  tags,
  summary: 'Queue a sync with a registered node',
  description: 'If one is queued or running already, it is returned.',
  request: {
    body: jsonInput(
      z.object({
        name: z.literal('federation-sync'),
        data: z.object({
          source: z
            .string()
            .min(1)
            .max(2048)
            .openapi({ description: 'Node ID or URL of a registered node.' }),
        }),
      }),
    ),
  },
  responses: { 202: json(JobBody, 'The job.') },
  codes: ['jobs-full', 'source-unknown'],
});
const claim = route('worker', {
  operationId: 'claimJob',
  method: 'post',
  path: '/{id}/claim',
  tags,
  summary: 'Claim a job for a worker',
  request: { params: idParam },
  responses: {
    200: json(ClaimedJob, 'The claimed job. Other workers cannot claim it while this one reports progress.'),
  },
  codes: ['job-claimed', 'job-ended', 'job-not-due'],
});
const progress = route('worker', {
  operationId: 'reportJobProgress',
  method: 'post',
  path: '/{id}/progress',
  tags,
  summary: 'Extend the lease of a job, optionally with progress',
  request: { params: idParam, body: jsonInput(z.object({ attempt, progress: told.optional() })) },
  responses: { 204: { description: 'The lease was extended.' } },
  codes: OVER,
});
const complete = route('worker', {
  operationId: 'completeJob',
  method: 'post',
  path: '/{id}/complete',
  tags,
  summary: 'Complete a job; repeating the request returns the same result',
  request: { params: idParam, body: jsonInput(z.object({ attempt, result: told })) },
  responses: { 200: json(JobBody, 'The completed job.') },
  codes: OVER,
});
const fail = route('worker', {
  operationId: 'failJob',
  method: 'post',
  path: '/{id}/fail',
  tags,
  summary: 'Report a failed attempt; the job is retried later or is dead',
  request: {
    params: idParam,
    body: jsonInput(
      z.object({
        attempt,
        error: z.object({
          code: z.string().min(1).max(64).openapi({ description: 'Error code.' }),
          message: z.string().max(1024).openapi({ description: 'What went wrong.' }),
          final: z.boolean().optional().openapi({ description: 'Whether retrying is pointless.' }),
        }),
      }),
    ),
  },
  responses: { 200: json(JobBody, 'The updated job.') },
  codes: OVER,
});
const release = route('worker', {
  operationId: 'releaseJob',
  method: 'post',
  path: '/{id}/release',
  tags,
  summary: 'Release a claimed job without counting the attempt',
  request: { params: idParam, body: jsonInput(z.object({ attempt })) },
  responses: { 204: { description: 'The job is waiting again.' } },
  codes: OVER,
});

/** A phone number leaves the node for Twilio only. */
const HIDDEN = new Set(['phone']);

function whole(job: Job): z.infer<typeof JobBody> {
  const { createdAt, runAt, endedAt, data, progress, result, ...rest } = job;
  return {
    ...rest,
    createdAt: isoTime(createdAt),
    runAt: isoTime(runAt),
    ...(endedAt === undefined ? {} : { endedAt: isoTime(endedAt) }),
    data: { ...data },
    ...(progress === undefined ? {} : { progress: { ...progress } }),
    ...(result === undefined ? {} : { result: { ...result } }),
  };
}
function shown(job: Job): z.infer<typeof JobBody> {
  const hidden = Object.keys(job.data).filter((name) => HIDDEN.has(name));
  const data = { ...job.data, ...Object.fromEntries(hidden.map((name) => [name, '[hidden]'])) };
  return whole({ ...job, data });
}

/** Jobs for the operator, and what workers in other processes need of them. */
export function jobRoutes({ jobs }: { readonly jobs: JobsPort }) {
  const { attempts } = jobs;
  return router()
    .openapi(list, async (c) => {
      const query = c.req.valid('query');
      const page = await jobs.list({ ...query, cursor: placeOf(c, query.cursor) });
      const found = page.jobs.map(shown);
      return c.json({ jobs: found, ...nextOf(c, page.cursor) }, 200);
    })
    .openapi(health, (c) => c.json({ ...jobs.health(), counts: { ...jobs.counts() } }, 200))
    .openapi(read, async (c) => {
      const job = await jobs.get(c.req.valid('param').id);
      if (job === undefined) throw new AgrinetError('not-found', 'Not found');
      return c.json(shown(job), 200);
    })
    .openapi(retry, async (c) => c.json(shown(await jobs.retry(c.req.valid('param').id)), 200))
    .openapi(enqueue, async (c) =>
      c.json(shown(await jobs.enqueueSync(c.req.valid('json').data.source)), 202),
    )
    .openapi(claim, async (c) => {
      const { job, ...rest } = await attempts.claim(c.req.valid('param').id);
      return c.json({ job: whole(job), ...rest }, 200);
    })
    .openapi(progress, async (c) => {
      const body = c.req.valid('json');
      await attempts.progress(c.req.valid('param').id, body.attempt, body.progress);
      return c.body(null, 204);
    })
    .openapi(complete, async (c) => {
      const body = c.req.valid('json');
      return c.json(shown(await attempts.complete(c.req.valid('param').id, body.attempt, body.result)), 200);
    })
    .openapi(fail, async (c) => {
      const body = c.req.valid('json');
      return c.json(shown(await attempts.fail(c.req.valid('param').id, body.attempt, body.error)), 200);
    })
    .openapi(release, async (c) => {
      await attempts.release(c.req.valid('param').id, c.req.valid('json').attempt);
      return c.body(null, 204);
    });
}
