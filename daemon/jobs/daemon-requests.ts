import { type Env, pause } from '../../protocols/env.ts';
import { z } from 'zod';
import { isErrorCode } from '../../protocols/error-codes.ts';
import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import { parsedJson } from '../../protocols/wire/json.ts';

/** The daemon answers in milliseconds; a disk that it waits for may take seconds. */
const ANSWER_MS = 15_000;
/** How long a daemon that is away is waited for with a report; later its lease is over anyhow and the job is done again. */
const PATIENCE_MS = 5 * 60_000;
/** Between two tries at a daemon that is away: a restart takes a few seconds. */
const LONGEST_WAIT_MS = 5000;

const refusal = z.object({ code: z.string().optional(), error: z.string().optional() });

export interface DaemonRequestParts {
  readonly env: Pick<Env, 'monotonic' | 'random' | 'after' | 'deadline'>;
  readonly baseUrl: string;
  readonly key: string;
  /** Ends waiting for a daemon that is away. */
  readonly stop: AbortSignal;
}

/** Requests of a worker to its daemon. Throws `daemon-unreachable`, or what the daemon refuses with. */
export class DaemonRequests {
  readonly base: string;
  readonly #parts: DaemonRequestParts;

  constructor(parts: DaemonRequestParts) {
    this.#parts = parts;
    this.base = parts.baseUrl.replace(/\/+$/, '');
  }

  async once(method: string, path: string, body?: unknown): Promise<unknown> {
    const { env, key } = this.#parts;
    let response: Response;
    let text: string;
    try {
      response = await fetch(this.base + path, {
        method,
        headers: { 'x-api-key': key, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: env.deadline(ANSWER_MS),
        redirect: 'manual',
      });
      text = await response.text();
    } catch (cause) {
      throw new AgrinetError('daemon-unreachable', `no daemon answers at ${this.base}`, { cause });
    }
    if (response.ok) return text === '' ? undefined : parsedJson(text);
    const { code, error } = refusal.safeParse(parsedJson(text)).data ?? {};
    // A proxy in front of a daemon that is away, or one that is short of something: the same as no answer.
    if (response.status === 429 || response.status >= 500)
      throw new AgrinetError('daemon-unreachable', `the daemon at ${this.base} answered ${response.status}`);
    throw new AgrinetError(
      code !== undefined && isErrorCode(code) ? code : 'request-refused',
      error ?? `the daemon answered ${response.status}`,
    );
  }

  /** Asks until the daemon answers; every report may be repeated, the daemon takes it once. */
  async patiently(method: string, path: string, body?: unknown): Promise<unknown> {
    const { env, stop } = this.#parts;
    const end = env.monotonic() + PATIENCE_MS;
    for (let wait = 200; ; wait = Math.min(LONGEST_WAIT_MS, wait * 2)) {
      try {
        return await this.once(method, path, body);
      } catch (error) {
        if (errorCode(error) !== 'daemon-unreachable' || env.monotonic() > end || stop.aborted) throw error;
        await pause(env, wait / 2 + (wait / 2) * env.random(), stop, { holds: true });
        if (stop.aborted) throw error;
      }
    }
  }
}
