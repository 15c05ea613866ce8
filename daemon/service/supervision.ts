import { type Env, every, type Timer } from '../../protocols/env.ts';
import type { Logger } from '../logger.ts';
import { createNotify, type Notice } from './notify.ts';
import type { SelfCheck } from './self-check.ts';

/** Notifications of this daemon to the service manager. All of it does nothing where there is none. */
export interface Supervision {
  /** HTTP listens. From now on systemd's watchdog is fed while the self-check passes. */
  ready(check: SelfCheck, status: () => string): void;
  /** A stop was asked for: the watchdog is not needed any more. */
  stopping(): void;
  /** Nothing is sent from now on. */
  close(): void;
}

/** A start may repair or rebuild a database for longer than systemd waits; as long as the main loop runs it is given time. */
const START_ROUND_MS = 20_000;
const START_GRACE_US = 60_000_000;
/** How often the status line is renewed without a watchdog. */
const STATUS_ROUND_MS = 40_000;

/** Speaks for this process to the systemd that started it, if any: NOTIFY_SOCKET, WATCHDOG_USEC. */
export function createSupervision(
  variables: Readonly<Record<string, string | undefined>>,
  logger: Logger,
  env: Pick<Env, 'after'>,
): Supervision {
  const notify = createNotify(variables, (error) =>
    logger.warn({ err: error }, 'systemd could not be notified'),
  );
  if (notify === undefined)
    return { ready: () => undefined, stopping: () => undefined, close: () => undefined };
  const tell = (notice: Notice): void => void notify(notice); // it never fails
  const watchdogMs = watchdogOf(variables);
  let timer: Timer | undefined;

  const begin = (): void => tell({ STATUS: 'starting', EXTEND_TIMEOUT_USEC: String(START_GRACE_US) });
  begin();
  timer = every(env, START_ROUND_MS, begin);

  function stopRounds(): void {
    timer?.cancel();
    timer = undefined;
  }

  return {
    ready(check, status) {
      stopRounds();
      tell({ READY: '1', STATUS: status() });
      const roundMs = watchdogMs === undefined ? STATUS_ROUND_MS : watchdogMs / 3;
      let checking = false;
      let failing = false;
      async function round(): Promise<void> {
        const silent = watchdogMs === undefined ? [] : await check(roundMs);
        if (timer === undefined) return; // stopped meanwhile
        if (silent.length > 0) {
          if (!failing) logger.error({ silent }, 'the self-check failed: systemd will restart the daemon');
          failing = true;
          tell({ STATUS: silent.join('; ') });
          return;
        }
        if (failing) logger.info('the self-check passes again');
        failing = false;
        // READY again: an old systemd may miss a message of systemd-notify, which has ended by the time it looks.
        tell({ READY: '1', STATUS: status(), ...(watchdogMs === undefined ? {} : { WATCHDOG: '1' }) });
      }
      timer = every(env, roundMs, () => {
        if (checking) return;
        checking = true;
        void round().finally(() => (checking = false));
      });
    },
    stopping() {
      stopRounds();
      tell({ STOPPING: '1', STATUS: 'stopping' });
    },
    close: stopRounds,
  };
}

/** Milliseconds after which systemd gives the daemon up, when it watches this process (or the one that handed over to it). */
function watchdogOf(env: Readonly<Record<string, string | undefined>>): number | undefined {
  const ms = Number(env['WATCHDOG_USEC'] ?? Number.NaN) / 1000;
  const pid = env['WATCHDOG_PID'];
  const ours = pid === undefined || [process.pid, process.ppid].includes(Number(pid));
  return Number.isFinite(ms) && ms > 0 && ours ? ms : undefined;
}
