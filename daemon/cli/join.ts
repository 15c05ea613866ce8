import { Command } from 'commander';
import { AgrinetError } from '../../protocols/errors.ts';
import { readSettings } from '../secrets.ts';
import { answerOf, connect } from './client.ts';
import { printable, printJson, printLine } from './output.ts';

/** `agrinet join`: registers this node and another with one another. */
export function joinCommand(): Command {
  return new Command('join')
    .description('register this node with another, and that one with this')
    .argument('<url>', 'URL of the other node')
    .requiredOption('--key <key>', 'an API key of the other node')
    .option('--json', 'print what the daemon answers')
    .action(async (url: string, options: { key: string; json?: true }) => {
      if (!/^https?:$/.test(URL.parse(url)?.protocol ?? '')) {
        throw new AgrinetError('usage', 'join: the URL of the other node starts with http:// or https://');
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
          `The operator there decides, with agrinet nodes approve. After that join again, or here: agrinet nodes approve ${id}`,
        );
    });
}
