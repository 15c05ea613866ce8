import chalk from 'chalk';
import { Command } from 'commander';
import { notComparedText } from '../not-compared.ts';
import { readSettings } from '../secrets.ts';
import { answerOf, connect } from './client.ts';
import { boxTable } from './box-table.ts';
import { JSON_OPTION, count, localTime, printable, printJson, printLine } from './output.ts';

const status = () => answerOf(connect(readSettings()).api.federation.status.$get());

/** One row per node, as in `GET /federation/status`. */
type NodeHealth = Awaited<ReturnType<typeof status>>['federationHealth'][number];

/** `agrinet status`: the table of the Agrinet status CLI. */
export function statusCommand(): Command {
  return new Command('status')
    .description('show the status of every node in the federation')
    .option(...JSON_OPTION)
    .action(async (options: { json?: true }) => {
      const answer = await status();
      if (options.json) printJson(answer);
      else printLine(statusReport(answer.federationHealth));
    });
}

/** The report as text: title and table. */
function statusReport(nodes: readonly NodeHealth[]): string {
  const head = ['Node URL', 'Status', 'Listings', 'Transactions', 'Users', 'Last Sync'];
  const rows = nodes.map((node) => [
    printable(node.node),
    node.status === 'ONLINE' ? chalk.green('✅ ONLINE') : chalk.red('❌ OFFLINE'),
    count(node.listings),
    count(node.transactions),
    count(node.users),
    localTime(node.lastSync),
  ]);
  const leftOut = nodes.flatMap(({ node, notCompared = [] }) =>
    notCompared.map((each) => `Not compared with ${printable(node)}: ${printable(notComparedText(each))}`),
  );
  return [chalk.bold('🌐 Federation Node Status Report'), boxTable(head, rows), ...leftOut].join('\n');
}
