import { fstatSync } from 'node:fs';
import type { DestinationStream } from 'pino';

/** Whether systemd's journal reads a file descriptor: JOURNAL_STREAM names its device and inode, see systemd.exec(5). */
export function isJournal(
  fd: number,
  env: Readonly<Record<string, string | undefined>> = process.env,
): boolean {
  const named = env['JOURNAL_STREAM'];
  if (named === undefined) return false;
  const { dev, ino } = fstatSync(fd, { bigint: true });
  return named === `${dev}:${ino}`;
}

/** Syslog's priorities as sd-daemon(3) takes them at the beginning of a line, by the least level of pino they are for. */
const PRIORITIES: readonly (readonly [level: number, prefix: string])[] = [
  [60, '<2>'],
  [50, '<3>'],
  [40, '<4>'],
  [30, '<6>'],
];

/** The prefix of a line of that level. */
export function priorityPrefix(level: number): string {
  return PRIORITIES.find(([least]) => level >= least)?.[1] ?? '<7>';
}

const STDERR = 2;

/** Text of an error as it goes to stderr: every line with its priority where the journal reads it. */
export function errorText(text: string): string {
  return isJournal(STDERR) ? text.replaceAll(/^/gm, priorityPrefix(50)) : text;
}

/** Passes pino's lines on with their priority. */
export function withPriorities(destination: DestinationStream): DestinationStream {
  return {
    // pino passes the level of a line to a destination that requests it this way.
    [Symbol.for('pino.metadata')]: true,
    lastLevel: 30,
    write(line: string) {
      destination.write(priorityPrefix(this.lastLevel) + line);
    },
  } as DestinationStream & { lastLevel: number };
}
