import { Command } from 'commander';
import { AgrinetError } from '../../protocols/errors.ts';
import { readSettings } from '../secrets.ts';
import { answerOf, connect } from './client.ts';
import { JSON_OPTION, printable, printJson, printLine } from './output.ts';

/** `agrinet join`: registers this node and another with one another. */
export function joinCommand(): Command {
  return new Command('join')
    .description('register this node and another node with each other')
    .argument('<url>', 'URL of the other node')
    .requiredOption('--key <key>', 'an API key issued by the other node')
    .option(...JSON_OPTION)
    .action(async (url: string, options: { key: string; json?: true }) => {
      if (!/^https?:$/.test(URL.parse(url)?.protocol ?? '')) {
        throw new AgrinetError(
          'usage',
          'join: the URL of the other node must start with http:// or https://',
        );
      }
      const { api } = connect(readSettings());
      const peer = await answerOf(api.federation.join.$post({ json: { url, key: options.key } }));
      if (options.json) {
        printJson(peer);
        return;
      }
      const id = printable(peer.nodeId);
      const region = peer.region ? ` (${printable(peer.region)})` : '';
      printLine(`Joined ${id}${region}: ${peer.status}`);
      if (peer.status === 'pending')
        printLine(
          `Waiting for the other node’s operator to approve this node (agrinet nodes approve). Then join again, or run here: agrinet nodes approve ${id}`,
        );
    });
}
