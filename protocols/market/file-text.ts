import type { Offload } from '../env.ts';
import { AgrinetError, errorCode } from '../errors.ts';
import { beginningOf, gunzipped } from '../wire/gzip.ts';
import { formatOf, MAGIC_BYTES } from './file-format.ts';

/** Of a compressed file: every country's prices in one are a fifth of it. It is read as a stream; this bounds the time. */
const MOST_INFLATED = 2 * 1024 ** 3;

const unreadable = (why: string, cause?: unknown): AgrinetError =>
  new AgrinetError('wfp.header', `not a CSV file: ${why}`, { cause });

/**
 * The text of a file, its line ends (LF, CRLF or CR) as LF and without a byte order mark: UTF-8, UTF-16 with its mark, or either
 * under gzip. Bytes that are invalid in its encoding become U+FFFD. Throws `wfp.header`, naming the format, for anything else.
 */
export async function* textOf(
  source: AsyncIterable<Uint8Array | string>,
  offload: Pick<Offload, 'gunzip'>,
): AsyncGenerator<string> {
  let { head, all } = await beginningOf(source, MAGIC_BYTES);
  let format = formatOf(head);
  if (format.kind === 'gzip') {
    ({ head, all } = await beginningOf(inflated(all, offload), MAGIC_BYTES));
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

async function* inflated(
  source: AsyncIterable<Uint8Array>,
  offload: Pick<Offload, 'gunzip'>,
): AsyncGenerator<Uint8Array> {
  try {
    yield* gunzipped(source, MOST_INFLATED, offload);
  } catch (error) {
    const code = errorCode(error);
    if (code === 'gzip-damaged')
      throw unreadable('its gzip data are truncated or damaged: download it again', error);
    if (code === 'gzip-too-large')
      throw unreadable(`it unpacks to more than ${MOST_INFLATED / 1024 ** 3} GiB: split it`, error);
    throw error;
  }
}
