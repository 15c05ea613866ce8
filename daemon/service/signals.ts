import { isatty } from 'node:tty';
import type { Env } from '../../protocols/env.ts';
import type { Logger } from '../logger.ts';

/** Whether somebody sits before this process: then its terminal's end is meant for it. */
export function inTerminal(): boolean {
  return [0, 1, 2].some((fd) => isatty(fd));
}

/**
 * Signals that do not end the process. Without a terminal, operators and logrotate send SIGHUP as a notification: `onHangup` runs
 * and the daemon continues, as it does after SIGUSR2. (SIGUSR1 is Node's own, for its debugger; Node ignores SIGPIPE.)
 */
export function ignoreHangups(logger: Pick<Logger, 'info'>, onHangup: () => void): void {
  process.on('SIGUSR2', () => logger.info('SIGUSR2 is ignored; use SIGTERM to stop the daemon'));
  if (inTerminal()) return;
  process.on('SIGHUP', () => {
    logger.info('SIGHUP: the TLS certificate is reloaded; settings are read at the start only');
    onHangup();
  });
}

/** How long a repeated signal counts as part of the first: npm forwards to its child what the terminal has already sent to both. */
const SAME_REQUEST_MS = 1000;

/** The signals that ask this process to stop: in a terminal its end, too. */
export function stopSignals(): readonly NodeJS.Signals[] {
  return inTerminal() ? ['SIGTERM', 'SIGINT', 'SIGHUP'] : ['SIGTERM', 'SIGINT'];
}

/**
 * Calls `first` at the first of these signals, and `again` at each one that comes more than SAME_REQUEST_MS after it. Returns how to stop
 * listening.
 */
export function onStopSignals(
  { monotonic }: Pick<Env, 'monotonic'>,
  signals: readonly NodeJS.Signals[],
  first: (signal: NodeJS.Signals) => void,
  again: () => void,
): () => void {
  let since: number | undefined;
  const listener = (signal: NodeJS.Signals): void => {
    if (since !== undefined) {
      if (monotonic() - since > SAME_REQUEST_MS) again();
      return;
    }
    since = monotonic();
    first(signal);
  };
  for (const signal of signals) process.on(signal, listener);
  return () => {
    for (const signal of signals) process.off(signal, listener);
  };
}

/** Ends this process without another step, whatever it is doing. */
export function endAtOnce(): void {
  process.kill(process.pid, 'SIGKILL');
}

/** Resolves at the first signal that asks the process to stop; another, more than a second later, ends it at once. */
export async function stopSignalled(env: Pick<Env, 'monotonic'>): Promise<void> {
  await new Promise<void>((resolve) => onStopSignals(env, stopSignals(), () => resolve(), endAtOnce));
}
