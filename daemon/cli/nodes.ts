import chalk from 'chalk';
import { Command } from 'commander';
import { z } from 'zod';
import { loadSettings } from '../settings.ts';
import { api } from './client.ts';
import { boxTable, localTime, printable, printJson, printLine } from './output.ts';

const node = z.looseObject({
  peerId: z.string().nullish(),
  url: z.string().nullish(),
  region: z.string().nullish(),
  status: z.string(),
  lastSync: z.union([z.string(), z.number()]).nullish(),
  connected: z.boolean().nullish(),
  lag: z.number().nullish(),
});
const list = z.looseObject({ nodes: z.array(node) });
const changed = z.looseObject({ status: z.string().optional() });

/** `agrinet nodes`: the registry of this node. */
export function nodesCommand(): Command {
  return new Command('nodes')
    .description('list the nodes registered with this one')
    .option('--json', 'print what the daemon answers')
    .action(async (options: { json?: true }) => {
      const registry = await api(loadSettings(process.env)).get('/federation/nodes', list);
      if (options.json) {
        printJson(registry);
        return;
      }
      const head = ['Peer', 'URL', 'Region', 'Status', 'Connected', 'Lag', 'Last Sync'];
      const rows = registry.nodes.map((each) => [
        printable(each.peerId ?? '-'),
        printable(each.url ?? '-'),
        printable(each.region ?? '-'),
        each.status === 'active' ? chalk.green('active') : chalk.yellow(printable(each.status)),
        each.connected ? 'yes' : 'no',
        each.lag === null || each.lag === undefined ? '-' : String(each.lag),
        localTime(each.lastSync),
      ]);
      printLine(boxTable(head, rows));
    });
}

/** `agrinet suspend`: nothing the node writes from now on is taken; what is held stays. */
export function suspendCommand(): Command {
  return switchCommand('suspend', 'take no more entries of a node; what is held stays', 'suspended');
}

/** `agrinet resume`: ends a suspension; what was written meanwhile is fetched. */
export function resumeCommand(): Command {
  return switchCommand('resume', 'end a suspension and fetch what was missed', 'active');
}

function switchCommand(name: 'suspend' | 'resume', description: string, outcome: string): Command {
  return new Command(name)
    .description(description)
    .argument('<peerId>', 'peer id of a registered node; `agrinet nodes` lists them')
    .option('--json', 'print what the daemon answers')
    .action(async (peerId: string, options: { json?: true }) => {
      const path = `/federation/nodes/${encodeURIComponent(peerId)}/${name}`;
      const answer = await api(loadSettings(process.env)).post(path, {}, changed);
      if (options.json) printJson(answer);
      else printLine(`${printable(peerId)}: ${printable(answer.status ?? outcome)}`);
    });
}
