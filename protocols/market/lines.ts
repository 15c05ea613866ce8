import { isUtf8 } from 'node:buffer';

/** Longer than any price row; a file without line breaks must not fill the memory. */
const MAX_LINE_CHARACTERS = 16_384;
/** The most that UTF-8 takes for one UTF-16 unit. */
const UNIT_BYTES = 3;
const LF = 0x0a;
const MARK = '\uFEFF';

/** A line of text without its end; `line` counts from 1. Of one that is too long only the start is kept. */
export interface TextLine {
  line: number;
  text: string;
  tooLong: boolean;
  /** False when its bytes were not UTF-8: `text` then has U+FFFD where letters are lost. */
  isUtf8: boolean;
}

/** Splits a stream of UTF-8 (with or without a byte order mark) at LF or CRLF. A line that is not UTF-8 spoils no other one. */
export async function* readLines(
  source: AsyncIterable<Uint8Array | string>,
  limit = MAX_LINE_CHARACTERS,
): AsyncGenerator<TextLine> {
  let line = 0;
  let rest: Uint8Array = new Uint8Array();
  const lineOf = (decoded: Decoded): TextLine => {
    line += 1;
    const text = line === 1 && decoded.text.startsWith(MARK) ? decoded.text.slice(1) : decoded.text;
    const tooLong = text.length > limit;
    const shown = tooLong ? text.slice(0, limit) : text;
    return {
      line,
      text: shown.endsWith('\r') ? shown.slice(0, -1) : shown,
      tooLong,
      isUtf8: decoded.isUtf8,
    };
  };
  for await (const chunk of source) {
    const bytes = Buffer.concat([rest, typeof chunk === 'string' ? Buffer.from(chunk) : chunk]);
    const end = bytes.lastIndexOf(LF);
    if (end !== -1) for (const decoded of linesIn(bytes.subarray(0, end))) yield lineOf(decoded);
    // What is kept of a line that goes on is too long by itself once anything has been left out.
    const start = end + 1;
    rest = bytes.subarray(start, start + (limit + MARK.length + 1) * UNIT_BYTES);
  }
  if (rest.length > 0) for (const decoded of linesIn(Buffer.from(rest))) yield lineOf(decoded);
}

type Decoded = Pick<TextLine, 'text' | 'isUtf8'>;

function* linesIn(bytes: Buffer): Generator<Decoded> {
  if (isUtf8(bytes)) {
    for (const text of bytes.toString().split('\n')) yield { text, isUtf8: true };
    return;
  }
  for (let start = 0; start <= bytes.length;) {
    const found = bytes.indexOf(LF, start);
    const end = found === -1 ? bytes.length : found;
    const line = bytes.subarray(start, end);
    yield { text: line.toString(), isUtf8: isUtf8(line) };
    start = end + 1;
  }
}
