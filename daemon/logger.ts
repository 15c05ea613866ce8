import { createRequire } from 'node:module';
import { isatty } from 'node:tty';
import { pino, type DestinationStream, type Logger as PinoLogger } from 'pino';
import type Pretty from 'pino-pretty';
import { openOutput } from './log-output.ts';
import { LogSink } from './log-sink.ts';
import { isJournal, priorityPrefix, withPriorities } from './service/journal.ts';
import type { Settings } from './settings.ts';
import { systemEnv } from './system-env.ts';

/** The log of every part of the daemon: a static message, preceded by fields. */
export type Logger = PinoLogger;

/** Names under which a secret could ever reach a log line, at the top or one level down. */
const SECRET_FIELDS = [
  'apiKey',
  'API_KEY',
  'privateKey',
  'privateKeyRaw',
  'seed',
  'psk',
  'password',
  'authorization',
];
const redact = {
  paths: [
    ...SECRET_FIELDS.flatMap((name) => [name, `*.${name}`]),
    '["x-api-key"]',
    '*["x-api-key"]',
    '*.headers["x-api-key"]',
    '*.headers.authorization',
    'body.key',
  ],
  censor: '[secret]',
};

const STDOUT = 1;
/** pino's number of the level `warn`. */
const WARN = 40;

/**
 * JSON lines on stdout, with priorities when the journal reads it, or lines for people when it is a terminal. Another destination is for
 * tests.
 */
export function createLogger(
  settings: Pick<Settings, 'logLevel'>,
  destination: DestinationStream = standardOutput().destination,
): Logger {
  return pino({ level: settings.logLevel, base: { pid: process.pid }, redact }, destination);
}

/** The log of the process. One for each process: it owns the file descriptor. */
export interface StandardOutput {
  readonly destination: DestinationStream;
  readonly sink: Pick<LogSink, 'dropped' | 'close'>;
}

let standard: StandardOutput | undefined;

/** The standard output of this process, as log. */
export function standardOutput(): StandardOutput {
  standard ??= openStandardOutput();
  return standard;
}

function openStandardOutput(): StandardOutput {
  const format = isatty(STDOUT) ? prettyFormat() : undefined;
  const journal = isJournal(STDOUT);
  const notice = (dropped: number): string => {
    const msg = 'log lines were dropped: the output was full, or nobody read it';
    const line = `${JSON.stringify({ level: WARN, time: systemEnv.now(), pid: process.pid, dropped, msg })}\n`;
    return format?.(line) ?? `${journal ? priorityPrefix(WARN) : ''}${line}`;
  };
  const sink = new LogSink(openOutput(STDOUT), { env: systemEnv, notice });
  process.once('exit', () => sink.flushNow());
  const lines = { write: (line: string) => sink.write(format?.(line) ?? line) };
  return { destination: journal ? withPriorities(lines) : lines, sink };
}

/** Loaded for a terminal only; and by `require`, as the first line is written before anything can be awaited. */
function prettyFormat(): ReturnType<typeof Pretty.prettyFactory> {
  const pretty = createRequire(import.meta.url)('pino-pretty') as typeof Pretty;
  return pretty.prettyFactory({ colorize: true, translateTime: 'SYS:HH:MM:ss.l', ignore: 'pid,hostname' });
}
