import chalk from 'chalk';
import { Command } from 'commander';
import { readSettings } from '../secrets.ts';
import { answerOf, connect } from './client.ts';
import { boxTable, localTime, printable, printJson, printLine } from './output.ts';

/** `agrinet rejoin`: who has answered since this node lost something, and the end of the wait. */
export function rejoinCommand(): Command {
  return new Command('rejoin')
    .description('show whether promises wait for other nodes after a loss, and who has answered')
    .option('--force', 'let promises go on without those that have not answered')
    .option('--json', 'print what the daemon answers')
    .action(async (options: { force?: true; json?: true }) => {
      const daemon = connect(readSettings()).api.rejoin;
      const standing = await answerOf(options.force ? daemon.force.$post() : daemon.$get());
      if (options.json) {
        printJson(standing);
        return;
      }
      const { waiting, cause, since, until, nodes } = standing;
      if (!waiting) printLine('Promises do not wait.');
      else if (cause === undefined)
        printLine(`Just started: promises wait for a first answer, until ${localTime(until)} at most.`);
      else printLine(`Promises wait until every node has answered: ${cause}, ${localTime(since)}.`);
      if (nodes.length === 0) return;
      const rows = nodes.map(({ nodeId, answered }) => [
        printable(nodeId),
        answered ? chalk.green('yes') : chalk.yellow('not yet'),
      ]);
      printLine(boxTable(['Node', 'Answered'], rows));
      if (waiting && cause !== undefined)
        printLine(
          '`agrinet rejoin --force` goes on without the others; what only they know may then be promised twice.',
        );
    });
}
