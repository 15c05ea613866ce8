import chalk from 'chalk';
import { Command } from 'commander';
import { notComparedText } from '../not-compared.ts';
import { answerOf, connect } from './client.ts';
import { boxTable } from './box-table.ts';
import { count, JSON_OPTION, type JsonFlag, localTime, printable, printAnswer } from './output.ts';

const status = () => answerOf(connect().api.federation.status.$get());

/** One row per node, as in `GET /federation/status`. */
type NodeHealth = Awaited<ReturnType<typeof status>>['federationHealth'][number];

/** `agrinet status`: the table of the Agrinet status CLI. */
export function statusCommand(): Command {
  return new Command('status')
    .description('show the status of every node in the federation')
    .option(...JSON_OPTION)
    .action(async (form: JsonFlag) =>
      printAnswer(await status(), form, ({ federationHealth }) => statusReport(federationHealth)),
    );
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
