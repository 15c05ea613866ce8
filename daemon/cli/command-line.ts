import { Command, CommanderError } from 'commander';
import { AgrinetError, errorCode, errorMessage } from '../../protocols/errors.ts';
import { stdout } from './stdout.ts';
import { exitCodeFor } from '../exit-codes.ts';
import { errorText } from '../service/journal.ts';
import { VERSION } from '../version.ts';
import type { UsageError } from './usage-error.ts';

/** In the order of the help. Only the one that is called is loaded: the others cost a quarter of a second. */
export const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  start: async () => (await import('./start.ts')).startCommand(),
  status: async () => (await import('./status.ts')).statusCommand(),
  join: async () => (await import('./join.ts')).joinCommand(),
  import: async () => (await import('./import.ts')).importCommand(),
  demo: async () => (await import('./demo.ts')).demoCommand(),
  digest: async () => (await import('./digest.ts')).digestCommand(),
  doctor: async () => (await import('./doctor.ts')).doctorCommand(),
  identity: async () => (await import('./identity.ts')).identityCommand(),
  nodes: async () => (await import('./nodes.ts')).nodesCommand(),
  suspend: async () => (await import('./nodes.ts')).suspendCommand(),
  resume: async () => (await import('./nodes.ts')).resumeCommand(),
  conflicts: async () => (await import('./conflicts.ts')).conflictsCommand(),
  contract: async () => (await import('./contract.ts')).contractCommand(),
  open: async () => (await import('./open.ts')).openCommand(),
  keys: async () => (await import('./keys.ts')).keysCommand(),
  users: async () => (await import('./users.ts')).usersCommand(),
  wants: async () => (await import('./wants.ts')).wantsCommand(),
  audit: async () => (await import('./audit.ts')).auditCommand(),
  trends: async () => (await import('./trends.ts')).trendsCommand(),
  sync: async () => (await import('./sync.ts')).syncCommand(),
  jobs: async () => (await import('./jobs.ts')).jobsCommand(),
  worker: async () => (await import('./worker.ts')).workerCommand(),
  rejoin: async () => (await import('./rejoin.ts')).rejoinCommand(),
  alarms: async () => (await import('./alarms.ts')).alarmsCommand(),
  scrub: async () => (await import('./scrub.ts')).scrubCommand(),
  checkpoint: async () => (await import('./checkpoint.ts')).checkpointCommand(),
  forget: async () => (await import('./forget.ts')).forgetCommand(),
  backup: async () => (await import('./backup.ts')).backupCommand(),
  restore: async () => (await import('./restore.ts')).restoreCommand(),
  'export-feed': async () => (await import('./export-feed.ts')).exportFeedCommand(),
  'import-feed': async () => (await import('./import-feed.ts')).importFeedCommand(),
  mirror: async () => (await import('./mirror.ts')).mirrorCommand(),
  rebuild: async () => (await import('./rebuild.ts')).rebuildCommand(),
  fsck: async () => (await import('./fsck.ts')).fsckCommand(),
};

/** What help is asked for with. */
const HELP: ReadonlySet<string> = new Set(['help', '--help', '-h']);

/** Runs `agrinet` with these arguments. Sets the exit code of the process unless it succeeds; never throws. */
export async function runCommandLine(words: readonly string[]): Promise<void> {
  let wrong: UsageError | undefined;
  try {
    refuseLostLetters(words);
    const program = new Command('agrinet')
      .description('The Agrinet federation daemon and its command line.')
      .version(VERSION)
      .configureOutput({ writeOut: (text) => stdout.write(text) })
      .exitOverride();
    for (const load of called(words[0])) program.addCommand(below(program, await load()));
    if (words.some((word) => HELP.has(word))) {
      const { addExamples } = await import('./examples.ts');
      for (const command of program.commands) addExamples(command);
    }
    catchUsageErrors(program, (text, command) => (wrong = { text, command, words }));
    await program.parseAsync(words, { from: 'user' });
  } catch (error) {
    if (wrong !== undefined) await tellUsage(wrong);
    process.exitCode = report(error);
  }
}

/** Throws `usage`: Node.js reads what is not UTF-8 with its letters lost, and a name would be kept without them. */
function refuseLostLetters(words: readonly string[]): void {
  const lost = words.findIndex((word) => word.includes('\uFFFD'));
  if (lost !== -1)
    throw new AgrinetError('usage', `argument ${lost + 1} is not UTF-8. Use a terminal with UTF-8 (LANG).`);
}

/** Puts a command below another with its ways, and so all that are below it: otherwise a usage error ends the process with commander's own exit code. */
function below(parent: Command, command: Command): Command {
  command.copyInheritedSettings(parent);
  for (const each of command.commands) below(command, each);
  return command;
}

/** Usage errors of a command and of all that are below it. */
function catchUsageErrors(command: Command, caught: (text: string, command: Command) => void): void {
  command.configureOutput({ outputError: (text) => caught(text, command) });
  for (const each of command.commands) catchUsageErrors(each, caught);
}

async function tellUsage(wrong: UsageError): Promise<void> {
  const { usageLine } = await import('./usage-error.ts');
  console.error(errorText(usageLine(wrong)));
}

/** The commands that `agrinet <name>` needs; all of them for help, and for an unknown name. */
function called(name: string | undefined): (() => Promise<Command>)[] {
  if (name === '--version' || name === '-V') return [];
  const one = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  return one === undefined ? Object.values(COMMANDS) : [one];
}

/** One line for the person, the exit code for the script. Usage errors have been told already. */
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
