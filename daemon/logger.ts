import { pino, type DestinationStream, type Logger as PinoLogger } from 'pino';
import pretty from 'pino-pretty';
import { isJournal, withPriorities } from './service/journal.ts';
import type { Settings } from './settings.ts';

/** What every part of the daemon logs to: a static message, with fields before it. */
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

/** Bytes of log kept for a reader that has stopped reading; beyond them lines are dropped, and the daemon goes on. */
const BACKLOG_BYTES = 8 * 1024 * 1024;

/** JSON lines on stdout, with priorities when the journal reads it, or lines for people when it is a terminal. Another destination is for tests. */
export function createLogger(
  settings: Pick<Settings, 'logLevel'>,
  destination: DestinationStream = standardOutput(),
): Logger {
  return pino({ level: settings.logLevel, base: { pid: process.pid }, redact }, destination);
}

function standardOutput(): DestinationStream {
  if (process.stdout.isTTY) {
    return pretty({
      colorize: true,
      sync: true,
      destination: 1,
      translateTime: 'SYS:HH:MM:ss.l',
      ignore: 'pid,hostname',
    });
  }
  // Not synchronous: a full pipe would stop the main loop. pino flushes what is left at exit.
  const lines = pino.destination({ dest: 1, sync: false, maxLength: BACKLOG_BYTES });
  return isJournal(1) ? withPriorities(lines) : lines;
}
