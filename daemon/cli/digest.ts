import { Command } from 'commander';
import { z } from 'zod';
import { loadSettings } from '../settings.ts';
import { api } from './client.ts';
import { boxTable, printable, printJson, printLine } from './output.ts';

const collection = z.looseObject({ count: z.number().optional() });
const owner = z.looseObject({ digest: z.string(), collections: z.record(z.string(), collection).optional() });
const answer = z.looseObject({ digest: z.string(), owners: z.record(z.string(), owner) });

/** `agrinet digest`: the state digest; two nodes that hold the same show the same. */
export function digestCommand(): Command {
  return new Command('digest')
    .description('show the digest of what this node holds, for each owner')
    .option('--json', 'print what the daemon answers')
    .action(async (options: { json?: true }) => {
      const state = await api(loadSettings(process.env)).get('/federation/digest', answer);
      if (options.json) {
        printJson(state);
        return;
      }
      const rows = Object.entries(state.owners).map(([peerId, { digest, collections = {} }]) => {
        const counts = Object.entries(collections).map(
          ([name, each]) => `${printable(name)} ${each.count ?? '?'}`,
        );
        return [printable(peerId), counts.join(', ') || '-', printable(digest)];
      });
      printLine(boxTable(['Owner', 'Records', 'Digest'], rows));
      printLine(`Digest ${printable(state.digest)}`);
    });
}
