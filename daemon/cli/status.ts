import chalk from 'chalk';
import { Command } from 'commander';
import { z } from 'zod';
import { loadSettings } from '../settings.ts';
import { api } from './client.ts';
import { boxTable, count, localTime, printable, printJson, printLine } from './output.ts';

const health = z.looseObject({
  node: z.string(),
  status: z.string(),
  listings: z.number().nullish(),
  transactions: z.number().nullish(),
  users: z.number().nullish(),
  lastSync: z.union([z.string(), z.number()]).nullish(),
});
const answer = z.object({ federationHealth: z.array(health) });

/** One row for each node, as `GET /federation/status` tells it. */
type NodeHealth = z.output<typeof health>;

/** `agrinet status`: the table of the Agrinet status CLI. */
export function statusCommand(): Command {
  return new Command('status')
    .description('show how every node of the federation is')
    .option('--json', 'print what the daemon answers')
    .action(async (options: { json?: true }) => {
      const status = await api(loadSettings(process.env)).get('/federation/status', answer);
      if (options.json) printJson(status);
      else printLine(statusReport(status.federationHealth));
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
  return `${chalk.bold('🌐 Federation Node Status Report')}\n${boxTable(head, rows)}`;
}
