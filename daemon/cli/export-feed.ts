import { stat } from 'node:fs/promises';
import { Command } from 'commander';
import { AgrinetError } from '../../protocols/errors.ts';
import { encodeFeedHead, FeedSum } from '../../protocols/mycelium/feed-file.ts';
import { decodeItems } from '../../protocols/mycelium/item-sequence.ts';
import { encodeItem } from '../../protocols/mycelium/range-item.ts';
import { parsePeerId, type PeerId } from '../../protocols/wire/identity.ts';
import { refuseExisting, writeWhole } from '../whole-file.ts';
import { answerOf, connect } from './client.ts';
import { bytesText, JSON_OPTION, printJson, printLine } from './output.ts';
import { withProgress } from './progress-bar.ts';

interface Options {
  readonly author?: string[];
  readonly for?: string;
  readonly force?: true;
  readonly json?: true;
}

/** `agrinet export-feed FILE`: signed entries in a file, for transfer where there is no network. */
export function exportFeedCommand(): Command {
  return new Command('export-feed')
    .description('export signed entries to a file, for a node without a network connection')
    .argument('<file>', 'file to write; must not exist yet, unless --force is given')
    .option('--author <id...>', 'only feeds of these nodes')
    .option('--for <id>', 'the recipient: includes the private channels it participates in')
    .option('--force', 'overwrite an existing file')
    .option(...JSON_OPTION)
    .action(async (file: string, options: Options) => {
      await refuseExisting(file, options.force === true);
      const daemon = connect();
      const { peerId } = await answerOf(daemon.api.federation.identity.$get({ query: {} }));
      const from = peerOf('the daemon', peerId);
      const to = options.for === undefined ? undefined : peerOf('--for', options.for);
      const query = new URLSearchParams(to === undefined ? {} : { for: to });
      for (const author of options.author ?? []) query.append('author', peerOf('--author', author));
      const response = await daemon.getStream(`/federation/feed-file?${query.toString()}`);
      const total = Number(response.headers.get('x-agrinet-entries') ?? 0);
      const sum = new FeedSum();
      const size = await withProgress('Writing', (onProgress) =>
        writeWhole(
          file,
          fileOf(response, encodeFeedHead({ from, to }), sum, () => onProgress(sum.items, total)),
          async (partial) => (await stat(partial)).size,
        ),
      );
      if (options.json) printJson({ file, from, for: to ?? null, items: sum.items, bytes: size });
      else
        printLine(
          `${file}: ${sum.items} entries, ${bytesText(size)}. Import it on the other node with: agrinet import-feed`,
        );
    });
}

async function* fileOf(
  { body }: Response,
  head: Uint8Array,
  sum: FeedSum,
  onItem: () => void,
): AsyncGenerator<Uint8Array> {
  sum.head(head);
  yield head;
  try {
    for await (const item of decodeItems(body ?? nothing())) {
      const bytes = encodeItem(item);
      sum.item(bytes);
      onItem();
      yield bytes;
    }
  } catch (cause) {
    throw new AgrinetError(
      'daemon-not-running',
      'the daemon closed the connection; see its log. No file was written.',
      { cause },
    );
  }
  yield sum.end();
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

function peerOf(what: string, text: string): PeerId {
  const found = parsePeerId(text);
  if (found === undefined)
    throw new AgrinetError(
      'usage',
      `${what}: ${JSON.stringify(text.slice(0, 80))} is not a peer ID. Run \`agrinet identity\` on that node to see its ID.`,
    );
  return found;
}
