import { Command } from 'commander';
import { answerOf, connect } from './client.ts';
import { boxTable } from './box-table.ts';
import { JSON_OPTION, type JsonFlag, printable, printAnswer } from './output.ts';

/** `agrinet digest`: the state digest; two nodes that hold the same show the same. */
export function digestCommand(): Command {
  return new Command('digest')
    .description('show the state digest, per owner')
    .option(...JSON_OPTION)
    .action(async (form: JsonFlag) => {
      printAnswer(await answerOf(connect().api.federation.digest.$get()), form, (state) => {
        const rows = Object.entries(state.owners).map(([peerId, { digest, collections, forgotten }]) => {
          const counts = Object.entries(collections).map(
            ([name, each]) => `${printable(name)} ${each.count}`,
          );
          const gap = forgotten && `${forgotten.entries} entries forgotten: cannot be compared`;
          return [printable(peerId), counts.join(', ') || '-', gap ?? printable(digest)];
        });
        const table = boxTable(['Owner', 'Records', 'Digest'], rows);
        return `${table}\nDigest ${printable(state.digest)}`;
      });
    });
}
