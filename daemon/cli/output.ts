import { stdout } from './stdout.ts';

/** The output of `--json`: one line. Throws `output-failed`, like everything that prints. */
export function printJson(value: unknown): void {
  stdout.write(`${JSON.stringify(value)}\n`);
}

/** The option of every command that shows what the daemon answered: flag and help. */
export const JSON_OPTION = ['--json', 'print the result as JSON'] as const;

export interface JsonFlag {
  readonly json?: true | undefined;
}

/** Prints an answer: as it is with `--json`, else as text. */
export function printAnswer<T>(answer: T, { json }: JsonFlag, text: (answer: T) => string): void {
  if (json) printJson(answer);
  else printLine(text(answer));
}

/** Output for people. */
export function printLine(text: string): void {
  stdout.write(`${text}\n`);
}

/** Text from a peer, made harmless for a terminal: control and direction characters become `?`, `max` characters at most. */
export function printable(text: string, max = 120): string {
  const plain = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?');
  return plain.length > max ? `${plain.slice(0, max - 1)}…` : plain;
}

/** A time from a peer in this machine's manner; `N/A` for none. */
export function localTime(time: string | number | null | undefined): string {
  if (time === null || time === undefined || time === '') return 'N/A';
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? 'N/A' : date.toLocaleString();
}

/** A count as the Agrinet status CLI shows it: `-` for 0 or missing. */
export function count(value: number | null | undefined): string {
  return value === null || value === undefined || value === 0 ? '-' : String(value);
}

/** Bytes for people. */
export function bytesText(bytes: number): string {
  if (bytes < 1024 * 1024) return `${Math.max(1, Math.round(bytes / 1024))} KiB`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

/** The storage that a node uses, and its limit: with a star where it is set for this node. */
export function quotaText({
  bytes,
  quotaMb,
  own,
}: {
  readonly bytes: number;
  readonly quotaMb: number;
  readonly own: boolean;
}): string {
  const most = quotaMb === 0 ? 'unlimited' : `${quotaMb} MiB`;
  return `${bytes === 0 ? '0' : bytesText(bytes)} / ${most}${own ? ' *' : ''}`;
}

/** A duration for people, in its largest unit. */
export function durationText(ms: number): string {
  const units = [
    ['day', 86_400_000],
    ['hour', 3_600_000],
    ['minute', 60_000],
  ] as const;
  for (const [name, unit] of units) {
    const count = Math.floor(ms / unit);
    if (count > 0) return `${count} ${name}${count === 1 ? '' : 's'}`;
  }
  return 'less than a minute';
}
