import { Command } from 'commander';
import { AgrinetError } from '../../protocols/errors.ts';
import { readSettings } from '../secrets.ts';
import { printable, printJson, printLine, withProgress } from './output.ts';
import { systemEnv } from '../system-env.ts';

/** `agrinet fsck`: checks everything the database holds, and changes nothing, while the daemon is down. */
export function fsckCommand(): Command {
  return new Command('fsck')
    .description('check signatures, chains, views and digests, changing nothing; stop the daemon first')
    .option('--json', 'print one line of JSON')
    .action(async (options: { json?: true }) => {
      const settings = readSettings();
      const { fsck } = await import('../maintenance.ts');
      const result = await withProgress('Checking', (onProgress) => fsck(settings, systemEnv, onProgress));
      if (options.json) printJson(result);
      else
        for (const { code, message } of result.problems)
          printLine(`${printable(code)}: ${printable(message, 300)}`);
      const { entries, problems } = result;
      if (problems.length > 0) {
        const what = problems.length === 1 ? 'One problem' : `${problems.length} problems`;
        throw new AgrinetError(
          'database-damaged',
          `${what} in ${entries} entries. \`npx agrinet rebuild\` mends views, indexes and digests.`,
        );
      }
      if (!options.json) printLine(`${entries} entries checked, no problem.`);
    });
}
