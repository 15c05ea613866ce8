import { Command, InvalidArgumentError } from 'commander';
import { AgrinetError } from '../../protocols/errors.ts';
import { answerOf, connect } from './client.ts';
import { JSON_OPTION, printable, printAnswer, quotaText } from './output.ts';

/** `agrinet nodes set`: what holds for one node and not for all. */
export function setCommand(): Command {
  return new Command('set')
    .description('set the storage quota of one node')
    .argument('<node>', 'peer ID of a node, from `agrinet nodes`')
    .option('--quota-mb <n>', 'MiB of its entries; 0 for unlimited, default for AUTHOR_QUOTA_MB', mebibytes)
    .option(...JSON_OPTION)
    .action(async (id: string, { quotaMb }: { quotaMb?: number | null }, command: Command) => {
      if (quotaMb === undefined) throw new AgrinetError('usage', 'nothing to set: pass --quota-mb');
      const node = connect().api.federation.nodes[':id'];
      const answer = await answerOf(
        node.quota.$post({ param: { id: encodeURIComponent(id) }, json: { quotaMb } }),
      );
      // `--json` belongs to `nodes` too, which then takes it first.
      printAnswer(
        answer,
        command.optsWithGlobals(),
        () => `${printable(answer.nodeId)}: ${quotaText(answer)}`,
      );
    });
}

function mebibytes(text: string): number | null {
  if (text === 'default') return null;
  const count = /^\d{1,7}$/.test(text) ? Number(text) : Infinity;
  if (count <= 1_000_000) return count;
  throw new InvalidArgumentError('Must be a whole number of MiB from 0 to 1000000, or default.');
}
