import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { Env } from '../../protocols/env.ts';
import { errorMessage } from '../../protocols/errors.ts';

/** What a live daemon responds with. Each rejects, or stays silent, when it does not. */
export interface Vitals {
  /** Runs when the ledger has done everything before it. */
  ledger(): Promise<unknown>;
  /** Reads something that is always there. */
  storage(): Promise<unknown>;
  /** Why storage refuses at the moment, as far as that is known and dealt with: a full disk is no reason to restart. */
  storageTrouble(): unknown;
  /** Whether the database is being reopened: the ledger waits for that, however long it takes. */
  reopening(): boolean;
  /** A request over the listener of the HTTP API. */
  http(signal: AbortSignal): Promise<unknown>;
}

/** What does not respond within this many milliseconds, each with its reason; none when the daemon is alive. */
export type SelfCheck = (deadlineMs: number) => Promise<readonly string[]>;

/**
 * Checks only what a working daemon can do. An absent peer, Redis or mirror is not part of it, and a disk that is full or a database
 * that is being reopened counts as a response: a restart would fix none of them.
 */
export function createSelfCheck(vitals: Vitals, env: Pick<Env, 'after'>): SelfCheck {
  return async (deadlineMs) => {
    const deadline = { env, ms: deadlineMs };
    const found = await Promise.all([
      within(deadline, 'the ledger', async () => {
        if (!vitals.reopening()) await vitals.ledger();
      }),
      within(deadline, 'the database', async () => {
        if (vitals.reopening()) return;
        try {
          await vitals.storage();
        } catch (error) {
          if (vitals.storageTrouble() === undefined) throw error;
        }
      }),
      within(deadline, 'HTTP', (signal) => vitals.http(signal)),
    ]);
    return found.flatMap((problem) => (problem === undefined ? [] : [problem]));
  };
}

/** What is wrong with one of them, or undefined. */
async function within(
  { env, ms }: { readonly env: Pick<Env, 'after'>; readonly ms: number },
  what: string,
  ask: (signal: AbortSignal) => Promise<unknown>,
): Promise<string | undefined> {
  const deadline = new AbortController();
  const { promise: late, resolve } = Promise.withResolvers<string>();
  const giveUp = (): void => {
    resolve(`${what} does not answer`);
    deadline.abort();
  };
  const timer = env.after(ms, giveUp, { holds: true });
  const answered = ask(deadline.signal).then(
    () => undefined,
    (error: unknown) => `${what} fails (${errorMessage(error)})`,
  );
  try {
    return await Promise.race([answered, late]);
  } finally {
    timer.cancel();
  }
}

/**
 * Requests /health from the daemon's own listener; `url` is where it listens. Any response will do, and so will a connection that is
 * accepted and closed: the limits on connections do that to everybody while too many are open, and an attacker who opens them must
 * not get the daemon restarted. The certificate is not verified: it is our own, and nothing secret is sent.
 */
export function askHealth(url: string, signal: AbortSignal): Promise<void> {
  const target = new URL('/health', url);
  const everywhere: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '[::]': '[::1]' };
  target.hostname = everywhere[target.hostname] ?? target.hostname;
  return new Promise((resolve, reject) => {
    const options = { signal, agent: false };
    const request =
      target.protocol === 'https:'
        ? requestHttps(target, { ...options, rejectUnauthorized: false })
        : requestHttp(target, options);
    request.once('response', (response) => {
      response.resume();
      response.once('end', resolve);
      response.once('error', reject);
    });
    request.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNRESET' || error.code === 'EPIPE') resolve();
      else reject(error);
    });
    request.end();
  });
}
