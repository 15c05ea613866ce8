import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { Env } from '../../protocols/env.ts';
import { errorMessage } from '../../protocols/errors.ts';

/** What a daemon that lives answers for. Each rejects, or stays silent, when it does not. */
export interface Vitals {
  /** Runs when the ledger has done what came before. */
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

/** What does not answer within so many milliseconds, each with its reason; none when the daemon lives. */
export type SelfCheck = (deadlineMs: number) => Promise<readonly string[]>;

/**
 * Asks what only a daemon that works can answer. An absent peer, Redis or mirror is no part of it, and a disk that is full or a
 * database that is being opened again counts as an answer: a restart would mend none of them.
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
 * Asks /health over the daemon's own listener; `url` is where it listens. Any answer will do, and so will a connection that is
 * taken and closed: the limits on connections do that to everybody while too many are open, and whoever opens them must not get the
 * daemon restarted. The certificate is not looked at: it is our own, and nothing is told.
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
