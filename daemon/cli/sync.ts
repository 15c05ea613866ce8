import { Command } from 'commander';
import { readSettings } from '../secrets.ts';
import { answerOf, connect } from './client.ts';
import { printJson, printLine } from './output.ts';

/** `agrinet sync`: what cron and the systemd timer call. */
export function syncCommand(): Command {
  return new Command('sync')
    .description('queue a sync with every registered node; more often than once a minute it does nothing')
    .option('--json', 'print what the daemon answers')
    .action(async ({ json }: { json?: true }) => {
      const answer = await answerOf(connect(readSettings()).api.federation.sync.$get());
      if (json) printJson(answer);
      else
        printLine(
          answer.coalesced ? 'Queued already, less than a minute ago' : `Queued: ${answer.jobs ?? 0}`,
        );
    });
}
