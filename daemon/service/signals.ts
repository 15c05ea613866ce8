import { isatty } from 'node:tty';
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

/** Resolves at the first SIGTERM, SIGINT or end of the terminal (SIGHUP); the second ends the process at once. */
export function stopSignalled(): Promise<void> {
  return new Promise((resolve) => {
    let told = false;
    const stop = (): void => {
      if (told) process.kill(process.pid, 'SIGKILL');
      told = true;
      resolve();
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
    if (inTerminal()) process.on('SIGHUP', stop);
  });
}
