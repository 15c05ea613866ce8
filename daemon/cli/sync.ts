import { Command } from 'commander';
import { readSettings } from '../secrets.ts';
import { answerOf, connect } from './client.ts';
import { JSON_OPTION, printJson, printLine } from './output.ts';

/** `agrinet sync`: what cron and the systemd timer call. */
export function syncCommand(): Command {
  return new Command('sync')
    .description('queue a sync with every registered node, at most once a minute')
    .option(...JSON_OPTION)
    .action(async ({ json }: { json?: true }) => {
      const answer = await answerOf(connect(readSettings()).api.federation.sync.$get());
      if (json) printJson(answer);
      else
        printLine(
          answer.coalesced ? 'Already queued less than a minute ago.' : `Syncs queued: ${answer.jobs ?? 0}`,
        );
    });
}
