import { Command } from 'commander';
import { AgrinetError } from '../../protocols/errors.ts';
import { readSettings } from '../secrets.ts';
import { JSON_OPTION, printable, printJson, printLine } from './output.ts';
import { withProgress } from './progress-bar.ts';
import { systemEnv } from '../system-env.ts';

/** `agrinet fsck`: checks everything the database holds, and changes nothing, while the daemon is down. */
export function fsckCommand(): Command {
  return new Command('fsck')
    .description(
      'verify signatures, chains, views and digests without changing anything; stop the daemon first',
    )
    .option(...JSON_OPTION)
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
        const what = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
        throw new AgrinetError(
          'database-damaged',
          `${what} in ${entries} entries. Run \`agrinet rebuild\` to repair views, indexes and digests.`,
        );
      }
      if (!options.json) printLine(`${entries} entries checked, no problems found.`);
    });
}
