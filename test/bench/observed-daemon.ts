/**
 * A daemon as `agrinet start` runs it, forked, that tells the process above it when a commit of listings stood: so nobody has to ask it
 * again and again whether something has come, which would cost the thread that is measured.
 */
import { startDaemon } from '../../daemon/daemon.ts';
import { createLogger } from '../../daemon/logger.ts';
import { loadSettings } from '../../daemon/settings.ts';
import { parseRecordKey } from '../../protocols/wire/ids.ts';
import { now } from './measure.ts';

/** One commit: when it stood, by the monotonic clock that all processes share, milliseconds, and how many listings it changed. */
export interface ObservedCommit {
  readonly at: number;
  readonly listings: number;
}

process.umask(0o077); // as the command line does
const settings = loadSettings(process.env);
const daemon = await startDaemon(settings, createLogger(settings));
daemon.node.hooks.committed.on('bench', ({ changes }) => {
  const at = now();
  const listings = changes.filter(({ key }) => parseRecordKey(key)?.collection === 'listings').length;
  if (listings > 0) process.send?.({ at, listings } satisfies ObservedCommit);
});
process.once('SIGTERM', () => void daemon.stop().then(() => process.disconnect?.()));
