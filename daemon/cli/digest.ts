import { Command } from 'commander';
import { readSettings } from '../secrets.ts';
import { answerOf, connect } from './client.ts';
import { boxTable } from './box-table.ts';
import { JSON_OPTION, printable, printJson, printLine } from './output.ts';

/** `agrinet digest`: the state digest; two nodes that hold the same show the same. */
export function digestCommand(): Command {
  return new Command('digest')
    .description('show the state digest, per owner')
    .option(...JSON_OPTION)
    .action(async (options: { json?: true }) => {
      const state = await answerOf(connect(readSettings()).api.federation.digest.$get());
      if (options.json) {
        printJson(state);
        return;
      }
      const rows = Object.entries(state.owners).map(([peerId, { digest, collections, forgotten }]) => {
        const counts = Object.entries(collections).map(([name, each]) => `${printable(name)} ${each.count}`);
        const gap = forgotten && `${forgotten.entries} entries forgotten: cannot be compared`;
        return [printable(peerId), counts.join(', ') || '-', gap ?? printable(digest)];
      });
      printLine(boxTable(['Owner', 'Records', 'Digest'], rows));
      printLine(`Digest ${printable(state.digest)}`);
    });
}
