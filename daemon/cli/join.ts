import { Command } from 'commander';
import { z } from 'zod';
import { AgrinetError } from '../../protocols/errors.ts';
import { loadSettings } from '../settings.ts';
import { api } from './client.ts';
import { printable, printJson, printLine } from './output.ts';

const answer = z.looseObject({ peerId: z.string(), region: z.string().nullish(), status: z.string() });

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
      const peer = await api(loadSettings(process.env)).post(
        '/federation/join',
        { url, key: options.key },
        answer,
      );
      if (options.json) {
        printJson(peer);
        return;
      }
      const region = peer.region ? ` (${printable(peer.region)})` : '';
      printLine(`Joined ${printable(peer.peerId)}${region}: ${printable(peer.status)}`);
    });
}
