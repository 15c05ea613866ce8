import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { Command } from 'commander';
import { AgrinetError, errorCode, errorMessage } from '../../protocols/errors.ts';
import {
  decodeFeedHead,
  FEED_END_BYTES,
  FEED_HEAD_BYTES,
  FeedSum,
  isFeedEnd,
} from '../../protocols/mycelium/feed-file.ts';
import { decodeItems, ITEM_SEQUENCE } from '../../protocols/mycelium/item-sequence.ts';
import { FRAME_LIMITS } from '../../protocols/mycelium/range-frame.ts';
import { encodeItem } from '../../protocols/mycelium/range-item.ts';
import { isSequenceFault } from '../../protocols/mycelium/sequence-fault.ts';
import { bytesEqual, concat } from '../../protocols/wire/bytes.ts';
import { connect, type DaemonClient } from './client.ts';
import { JSON_OPTION, printable, printJson, printLine } from './output.ts';
import { withProgress } from './progress-bar.ts';

interface Totals {
  accepted: number;
  known: number;
  ignored: number;
  reasons: Record<string, number>;
  strangers: Record<string, number>;
}
type Answer = Totals & { readonly rejected?: { readonly index: number; readonly code: string } };

/** `agrinet import-feed FILE`: what was carried here, through the same door as everything that comes over the network. */
export function importFeedCommand(): Command {
  return new Command('import-feed')
    .description('import signed entries from a feed file; importing it again changes nothing')
    .argument('<file>', 'a file written by agrinet export-feed')
    .option(...JSON_OPTION)
    .action(async (file: string, options: { json?: true }) => {
      const daemon = connect();
      const totals: Totals = { accepted: 0, known: 0, ignored: 0, reasons: {}, strangers: {} };
      await withProgress('Reading', (onProgress) => carryIn(file, daemon, totals, onProgress));
      if (options.json) printJson({ file, ...totals });
      else report(totals);
    });
}

/** Throws `feed-file-damaged`, with how far the file was good; what precedes is imported by then. */
async function carryIn(
  file: string,
  daemon: DaemonClient,
  totals: Totals,
  onProgress: (done: number, total: number) => void,
): Promise<void> {
  const { head, to, bodyEnd, end } = await outline(file);
  const sum = new FeedSum();
  sum.head(head);
  let at = head.length;
  let piece: Uint8Array[] = [];
  let size = 0;
  /** Where the items of the piece begin. */
  let starts: number[] = [];
  let good = 0;

  async function flush(): Promise<void> {
    if (piece.length === 0) return;
    const query = to === undefined ? '' : `?for=${to}`;
    const body = new Uint8Array(concat(piece));
    const response = await daemon.postStream(`/federation/feed-file${query}`, body, ITEM_SEQUENCE);
    const answer = (await response.json()) as Answer; // what the route declares
    add(totals, answer);
    if (answer.rejected !== undefined) {
      const { index, code } = answer.rejected;
      throw damaged(file, good + index, starts[index] ?? at, `was rejected (${printable(code)})`);
    }
    good += piece.length;
    onProgress(at, bodyEnd);
    piece = [];
    starts = [];
    size = 0;
  }

  const body = createReadStream(file, { start: head.length, end: Math.max(bodyEnd - 1, head.length) });
  try {
    for await (const item of bodyEnd > head.length ? decodeItems(body) : []) {
      const bytes = encodeItem(item);
      // Before one that would not fit: the largest entry goes alone.
      if (size + bytes.length > FRAME_LIMITS.frameBytes) await flush();
      sum.item(bytes);
      piece.push(bytes);
      starts.push(at);
      at += bytes.length;
      size += bytes.length;
      if (piece.length >= FRAME_LIMITS.frameItems) await flush();
    }
  } catch (error) {
    if (!isSequenceFault(error)) throw error;
    await flush();
    throw damaged(file, good, at, end === undefined ? 'is truncated or corrupted' : 'is corrupted');
  } finally {
    body.destroy();
  }
  await flush();
  if (end === undefined) throw damaged(file, good, at, 'is missing: the file is truncated');
  if (!bytesEqual(end, sum.end()))
    throw new AgrinetError(
      'feed-file-damaged',
      `${file}: the checksum does not match. The imported entries are valid, since each is signed; export the file again.`,
    );
}

/** Head and end of a file; without its end all behind the head is read. */
async function outline(file: string) {
  let handle: FileHandle | undefined;
  try {
    handle = await open(file);
    const { size } = await handle.stat();
    const start = await bytesAt(handle, 0, Math.min(FEED_HEAD_BYTES, size));
    const { length, to } = decodeFeedHead(start);
    const tail = await bytesAt(handle, Math.max(length, size - FEED_END_BYTES), FEED_END_BYTES);
    const whole = isFeedEnd(tail);
    const bodyEnd = whole ? size - FEED_END_BYTES : size;
    return { head: start.subarray(0, length), to, bodyEnd, end: whole ? tail : undefined };
  } catch (error) {
    if (errorCode(error) === 'feed-file-damaged')
      throw new AgrinetError('feed-file-damaged', `${file}: ${errorMessage(error)}`, { cause: error });
    throw new AgrinetError('usage', `${file} cannot be read: ${errorMessage(error)}`, { cause: error });
  } finally {
    await handle?.close();
  }
}

async function bytesAt(handle: FileHandle, position: number, length: number): Promise<Uint8Array> {
  const { bytesRead, buffer } = await handle.read(new Uint8Array(length), 0, length, position);
  return buffer.subarray(0, bytesRead);
}

function damaged(file: string, good: number, at: number, what: string): AgrinetError {
  return new AgrinetError(
    'feed-file-damaged',
    `${file}: item ${good + 1} (byte ${at}) ${what}. The ${good} entries before it are valid and were imported; export the file again.`,
  );
}

function add(totals: Totals, answer: Totals): void {
  totals.accepted += answer.accepted;
  totals.known += answer.known;
  totals.ignored += answer.ignored;
  for (const name of ['reasons', 'strangers'] as const)
    for (const [key, count] of Object.entries(answer[name]))
      totals[name][key] = (totals[name][key] ?? 0) + count;
}

function report({ accepted, known, ignored, reasons, strangers }: Totals): void {
  printLine(`${accepted} new entries, ${known} already known, ${ignored} skipped.`);
  for (const [code, count] of Object.entries(reasons)) printLine(`  skipped: ${count} ${printable(code)}`);
  for (const [author, count] of Object.entries(strangers))
    printLine(
      `  ${printable(author)} is not registered here (${count} entries): register it, then import again.`,
    );
}
