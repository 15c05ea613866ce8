import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { AgrinetError } from '../errors.ts';
import { formatOf, MAGIC_BYTES } from './file-format.ts';

/** Of a compressed file: every country's prices in one are a fifth of it. It is read as a stream; this bounds the time. */
const MOST_INFLATED = 2 * 1024 ** 3;

const unreadable = (why: string, cause?: unknown): AgrinetError =>
  new AgrinetError('wfp.header', `not a WFP price file: ${why}`, { cause });

/**
 * The text of a file, its line ends (LF, CRLF or CR) as LF and without a byte order mark: UTF-8, UTF-16 with its mark, or either
 * under gzip. Bytes that are no text of its encoding become U+FFFD. Throws `wfp.header` for what is something else, and says what.
 */
export async function* textOf(source: AsyncIterable<Uint8Array | string>): AsyncGenerator<string> {
  let { head, all } = await beginningOf(source);
  let format = formatOf(head);
  if (format.kind === 'gzip') {
    ({ head, all } = await beginningOf(inflated(all)));
    format = formatOf(head);
    if (format.kind === 'gzip') throw unreadable('gzip inside gzip: unpack it');
  }
  if (format.kind === 'other') throw unreadable(format.is);
  const decoder = new TextDecoder(format.encoding);
  let open = false;
  const even = (text: string): string => {
    const whole = open ? `\r${text}` : text;
    open = whole.endsWith('\r'); // it may be the first half of a CRLF
    return (open ? whole.slice(0, -1) : whole).replaceAll(/\r\n?/g, '\n');
  };
  for await (const chunk of all) yield even(decoder.decode(chunk, { stream: true }));
  yield even(decoder.decode());
  if (open) yield '\n';
}

/** The first bytes, and a stream of all of them. */
async function beginningOf(
  source: AsyncIterable<Uint8Array | string>,
): Promise<{ head: Uint8Array; all: AsyncIterable<Uint8Array> }> {
  const chunks = source[Symbol.asyncIterator]();
  let head = Buffer.alloc(0);
  while (head.length < MAGIC_BYTES) {
    const next = await chunks.next();
    if (next.done === true) break;
    head = Buffer.concat([head, Buffer.from(next.value)]);
  }
  async function* all(): AsyncGenerator<Uint8Array> {
    try {
      yield head;
      for (let next = await chunks.next(); next.done !== true; next = await chunks.next())
        yield Buffer.from(next.value);
    } finally {
      await chunks.return?.();
    }
  }
  return { head, all: all() };
}

async function* inflated(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip();
  // Its failure shows where it is read; here only so that it is heard.
  const done = pipeline(Readable.from(source), gunzip).catch(() => undefined);
  let size = 0;
  try {
    for await (const chunk of gunzip as AsyncIterable<Uint8Array>) {
      size += chunk.length;
      if (size > MOST_INFLATED)
        throw unreadable(`it unpacks to more than ${MOST_INFLATED / 1024 ** 3} GiB: split it`);
      yield chunk;
    }
  } catch (error) {
    if (error instanceof AgrinetError) throw error;
    throw unreadable('its gzip data are cut off or damaged: download it again', error);
  } finally {
    gunzip.destroy();
    await done;
  }
}
