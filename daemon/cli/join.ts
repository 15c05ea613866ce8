import { Command } from 'commander';
import { AgrinetError } from '../../protocols/errors.ts';
import { answerOf, connect } from './client.ts';
import { JSON_OPTION, type JsonFlag, printable, printAnswer } from './output.ts';

/** `agrinet join`: registers this node and another with one another. */
export function joinCommand(): Command {
  return new Command('join')
    .description('register this node and another node with each other')
    .argument('<url>', 'URL of the other node')
    .requiredOption('--key <key>', 'an API key issued by the other node')
    .option(...JSON_OPTION)
    .action(async (url: string, { key, ...form }: JsonFlag & { key: string }) => {
      if (!/^https?:$/.test(URL.parse(url)?.protocol ?? '')) {
        throw new AgrinetError(
          'usage',
          'join: the URL of the other node must start with http:// or https://',
        );
      }
      const { api } = connect();
      const peer = await answerOf(api.federation.join.$post({ json: { url, key } }));
      printAnswer(peer, form, ({ nodeId, region, status }) => {
        const id = printable(nodeId);
        const joined = `Joined ${id}${region ? ` (${printable(region)})` : ''}: ${status}`;
        if (status !== 'pending') return joined;
        return `${joined}\nWaiting for the other node’s operator to approve this node (agrinet nodes approve). Then join again, or run here: agrinet nodes approve ${id}`;
      });
    });
}
