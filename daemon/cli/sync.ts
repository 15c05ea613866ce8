import { Command } from 'commander';
import { answerOf, connect } from './client.ts';
import { JSON_OPTION, type JsonFlag, printAnswer } from './output.ts';

/** `agrinet sync`: what cron and the systemd timer call. */
export function syncCommand(): Command {
  return new Command('sync')
    .description('queue a sync with every registered node, at most once a minute')
    .option(...JSON_OPTION)
    .action(async (form: JsonFlag) => {
      printAnswer(await answerOf(connect().api.federation.sync.$get()), form, ({ coalesced, jobs }) =>
        coalesced ? 'Already queued less than a minute ago.' : `Syncs queued: ${jobs ?? 0}`,
      );
    });
}
