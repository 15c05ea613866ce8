import { execFile } from 'node:child_process';
import { write } from 'node:fs';
import { promisify } from 'node:util';

/** Notifications to systemd; the names are those of sd_notify(3). */
export type Notice = Readonly<
  Partial<Record<'READY' | 'STOPPING' | 'WATCHDOG' | 'STATUS' | 'EXTEND_TIMEOUT_USEC', string>>
>;

/** Sends one notification after another, in the order of the calls; never fails. Resolves when it was sent or cannot be. */
export type Notify = (notice: Notice) => Promise<void>;

type Environment = Readonly<Record<string, string | undefined>>;

/** More than the five seconds that `systemd-notify` itself waits for systemd to have read it. */
const TELL_MS = 10_000;
/** systemd shows one line; a longer one is of no use. */
const STATUS_CHARS = 200;
/** The first descriptor that is passed on, see sd_listen_fds(3). */
const FIRST_FD = 3;

const writeTo = promisify(write);
const run = promisify(execFile);

/**
 * Notifies the service manager at NOTIFY_SOCKET; undefined where there is none. Node has no datagrams of AF_UNIX. With a descriptor
 * named `notify` (OpenFile= of systemd, or systemd/with-notify-fd.pl) notifications are written to it, and come from this process;
 * without one the program `systemd-notify` sends them, which needs NotifyAccess=all. `warn` is called for the first failure only.
 */
export function createNotify(env: Environment, warn: (error: unknown) => void): Notify | undefined {
  const socket = env['NOTIFY_SOCKET'];
  if (socket === undefined || socket === '') return undefined;
  const fd = passedDescriptor(env, 'notify');
  const own = { NOTIFY_SOCKET: socket, PATH: env['PATH'] };
  let warned = false;
  let before: Promise<void> = Promise.resolve();

  async function tell(lines: readonly string[]): Promise<void> {
    try {
      if (fd !== undefined) await writeTo(fd, lines.join('\n')); // one write is one datagram
      else await run('systemd-notify', lines, { env: own, timeout: TELL_MS });
    } catch (error) {
      if (!warned) warn(error);
      warned = true;
    }
  }
  // In turn: a READY that overtook STOPPING would unsay it.
  return (notice) => (before = before.then(() => tell(assignments(notice))));
}

/** The notice as lines `NAME=value`: each value on one line, in printable characters. */
export function assignments(notice: Notice): string[] {
  return Object.entries(notice).map(
    ([name, value]) =>
      `${name}=${value.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').slice(0, STATUS_CHARS)}`,
  );
}

/** The number of a descriptor that was passed to this process under a name. */
export function passedDescriptor(env: Environment, name: string, pid = process.pid): number | undefined {
  if (Number(env['LISTEN_PID']) !== pid) return undefined;
  const names = (env['LISTEN_FDNAMES'] ?? '').split(':').slice(0, Number(env['LISTEN_FDS'] ?? 0));
  const at = names.indexOf(name);
  return at === -1 ? undefined : FIRST_FD + at;
}
