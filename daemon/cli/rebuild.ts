import { Command } from 'commander';
import { readSettings } from '../secrets.ts';
import { JSON_OPTION, printable, printJson, printLine } from './output.ts';
import { withProgress } from './progress-bar.ts';
import { systemEnv } from '../system-env.ts';

/** `agrinet rebuild`: derives views, indexes and digests again from the feeds, while the daemon is down. */
export function rebuildCommand(): Command {
  return new Command('rebuild')
    .description('rebuild views, indexes and digests from the feeds; stop the daemon first')
    .option(...JSON_OPTION)
    .action(async (options: { json?: true }) => {
      const settings = readSettings();
      const { rebuild } = await import('../maintenance.ts');
      const result = await withProgress('Rebuilding', (onProgress) =>
        rebuild(settings, systemEnv, onProgress),
      );
      if (options.json) printJson(result);
      else {
        for (const { code, message } of result.problems)
          printLine(`${printable(code)}: ${printable(message, 300)}`);
        printLine(`Rebuilt ${result.records} records from ${result.entries} entries.`);
      }
    });
}
