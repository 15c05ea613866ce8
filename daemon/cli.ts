import { Command, CommanderError } from 'commander';
import { AgrinetError, errorCode, errorMessage } from '../protocols/errors.ts';
import { stdout } from './cli/stdout.ts';
import { exitCodeFor } from './exit-codes.ts';
import { errorText } from './service/journal.ts';
import { VERSION } from './version.ts';

// What any command writes is this user's alone: the database, backups, feed files.
process.umask(0o077);

/** In the order of the help. Only the one that is called is loaded: the others cost a quarter of a second. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  start: async () => (await import('./cli/start.ts')).startCommand(),
  status: async () => (await import('./cli/status.ts')).statusCommand(),
  join: async () => (await import('./cli/join.ts')).joinCommand(),
  import: async () => (await import('./cli/import.ts')).importCommand(),
  demo: async () => (await import('./cli/demo.ts')).demoCommand(),
  digest: async () => (await import('./cli/digest.ts')).digestCommand(),
  doctor: async () => (await import('./cli/doctor.ts')).doctorCommand(),
  identity: async () => (await import('./cli/identity.ts')).identityCommand(),
  nodes: async () => (await import('./cli/nodes.ts')).nodesCommand(),
  suspend: async () => (await import('./cli/nodes.ts')).suspendCommand(),
  resume: async () => (await import('./cli/nodes.ts')).resumeCommand(),
  conflicts: async () => (await import('./cli/conflicts.ts')).conflictsCommand(),
  keys: async () => (await import('./cli/keys.ts')).keysCommand(),
  audit: async () => (await import('./cli/audit.ts')).auditCommand(),
  trends: async () => (await import('./cli/trends.ts')).trendsCommand(),
  sync: async () => (await import('./cli/sync.ts')).syncCommand(),
  jobs: async () => (await import('./cli/jobs.ts')).jobsCommand(),
  worker: async () => (await import('./cli/worker.ts')).workerCommand(),
  rejoin: async () => (await import('./cli/rejoin.ts')).rejoinCommand(),
  alarms: async () => (await import('./cli/alarms.ts')).alarmsCommand(),
  scrub: async () => (await import('./cli/scrub.ts')).scrubCommand(),
  forget: async () => (await import('./cli/forget.ts')).forgetCommand(),
  backup: async () => (await import('./cli/backup.ts')).backupCommand(),
  restore: async () => (await import('./cli/restore.ts')).restoreCommand(),
  'export-feed': async () => (await import('./cli/export-feed.ts')).exportFeedCommand(),
  'import-feed': async () => (await import('./cli/import-feed.ts')).importFeedCommand(),
  mirror: async () => (await import('./cli/mirror.ts')).mirrorCommand(),
  rebuild: async () => (await import('./cli/rebuild.ts')).rebuildCommand(),
  fsck: async () => (await import('./cli/fsck.ts')).fsckCommand(),
};

const program = new Command('agrinet')
  .description('The Agrinet federation daemon and its command line.')
  .version(VERSION)
  .showHelpAfterError('Run `agrinet --help` to list all commands.')
  .configureOutput({ writeOut: (text) => stdout.write(text) });
// Whoever reads stderr may be gone: nobody is left to be told, and the exit code says the rest.
process.stderr.on('error', () => undefined);
for (const load of called(process.argv[2])) {
  program.addCommand((await load()).copyInheritedSettings(program).exitOverride());
}
program.exitOverride();

// The exit code is set and the process left to end: what then still holds it open is a leak to be found.
try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

/** What `agrinet <name>` needs; all of them for help, and for a name that is not there. */
function called(name: string | undefined): (() => Promise<Command>)[] {
  if (name === '--version' || name === '-V') return [];
  const one = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  return one === undefined ? Object.values(COMMANDS) : [one];
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
