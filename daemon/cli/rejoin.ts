import chalk from 'chalk';
import { Command } from 'commander';
import { answerOf, connect } from './client.ts';
import { boxTable } from './box-table.ts';
import { JSON_OPTION, type JsonFlag, localTime, printable, printJson, printLine } from './output.ts';

/** `agrinet rejoin`: which peers have answered since this node lost something, and ending the wait. */
export function rejoinCommand(): Command {
  return new Command('rejoin')
    .description(
      'show the recovery fence: after a data loss this node makes no new commitments until its peers have answered',
    )
    .option('--force', 'lift the fence without waiting for the remaining nodes')
    .option(...JSON_OPTION)
    .action(async ({ force, json }: JsonFlag & { force?: true }) => {
      const daemon = connect().api.rejoin;
      const status = await answerOf(force ? daemon.force.$post() : daemon.$get());
      if (json) return printJson(status);
      const { waiting, cause, since, until, nodes } = status;
      if (!waiting) printLine('No recovery fence: new commitments are allowed.');
      else if (cause === undefined)
        printLine(
          `Starting up: no new commitments until a first peer answers, or until ${localTime(until)}.`,
        );
      else
        printLine(
          `Recovery fence since ${localTime(since)} (${cause}): no new commitments until every node has answered.`,
        );
      if (nodes.length === 0) return;
      const rows = nodes.map(({ nodeId, answered }) => [
        printable(nodeId),
        answered ? chalk.green('yes') : chalk.yellow('not yet'),
      ]);
      printLine(boxTable(['Node', 'Answered'], rows));
      if (waiting && cause !== undefined)
        printLine(
          '`agrinet rejoin --force` lifts the fence now; `agrinet suspend <node>` ends the wait for one node. What only such a node knows about may then be committed twice.',
        );
    });
}
