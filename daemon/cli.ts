import { Command, CommanderError } from 'commander';
import { AgrinetError, errorCode, errorMessage } from '../protocols/errors.ts';
import { alarmsCommand } from './cli/alarms.ts';
import { auditCommand } from './cli/audit.ts';
import { backupCommand } from './cli/backup.ts';
import { conflictsCommand } from './cli/conflicts.ts';
import { demoCommand } from './cli/demo.ts';
import { digestCommand } from './cli/digest.ts';
import { doctorCommand } from './cli/doctor.ts';
import { exportFeedCommand } from './cli/export-feed.ts';
import { forgetCommand } from './cli/forget.ts';
import { fsckCommand } from './cli/fsck.ts';
import { identityCommand } from './cli/identity.ts';
import { importFeedCommand } from './cli/import-feed.ts';
import { importCommand } from './cli/import.ts';
import { jobsCommand } from './cli/jobs.ts';
import { joinCommand } from './cli/join.ts';
import { keysCommand } from './cli/keys.ts';
import { mirrorCommand } from './cli/mirror.ts';
import { nodesCommand, resumeCommand, suspendCommand } from './cli/nodes.ts';
import { rebuildCommand } from './cli/rebuild.ts';
import { rejoinCommand } from './cli/rejoin.ts';
import { scrubCommand } from './cli/scrub.ts';
import { restoreCommand } from './cli/restore.ts';
import { startCommand } from './cli/start.ts';
import { statusCommand } from './cli/status.ts';
import { syncCommand } from './cli/sync.ts';
import { trendsCommand } from './cli/trends.ts';
import { workerCommand } from './cli/worker.ts';
import { stdout } from './cli/stdout.ts';
import { exitCodeFor } from './exit-codes.ts';
import { errorText } from './service/journal.ts';
import { VERSION } from './version.ts';

// What any command writes is this user's alone: the database, backups, feed files.
process.umask(0o077);

const program = new Command('agrinet')
  .description('The federation daemon of Agrinet and its command line.')
  .version(VERSION)
  .showHelpAfterError('`agrinet --help` shows every command.')
  .configureOutput({ writeOut: (text) => stdout.write(text) });
// Whoever reads stderr may be gone: nobody is left to be told, and the exit code says the rest.
process.stderr.on('error', () => undefined);
for (const command of [
  startCommand(),
  statusCommand(),
  joinCommand(),
  importCommand(),
  demoCommand(),
  digestCommand(),
  doctorCommand(),
  identityCommand(),
  nodesCommand(),
  suspendCommand(),
  resumeCommand(),
  conflictsCommand(),
  keysCommand(),
  auditCommand(),
  trendsCommand(),
  syncCommand(),
  jobsCommand(),
  workerCommand(),
  rejoinCommand(),
  alarmsCommand(),
  scrubCommand(),
  forgetCommand(),
  backupCommand(),
  restoreCommand(),
  exportFeedCommand(),
  importFeedCommand(),
  mirrorCommand(),
  rebuildCommand(),
  fsckCommand(),
]) {
  program.addCommand(command.copyInheritedSettings(program).exitOverride());
}
program.exitOverride();

// The exit code is set and the process left to end: what then still holds it open is a leak to be found.
try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

/** One line for the person, the exit code for the script. Commander has already printed its own errors. */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCodeFor('usage');
  const debug = process.env['LOG_LEVEL'] === 'debug' || process.env['LOG_LEVEL'] === 'trace';
  if (debug && error instanceof Error) console.error(errorText(error.stack ?? error.message));
  const code = errorCode(error);
  // The one message of several lines: every wrong setting has its own.
  const text =
    error instanceof AgrinetError && code === 'settings-invalid' ? error.message : errorMessage(error);
  const line =
    error instanceof AgrinetError
      ? `agrinet: ${text}`
      : `agrinet: internal error: ${text} (LOG_LEVEL=debug shows where)`;
  console.error(errorText(line));
  return exitCodeFor(code);
}
