/** Longer than any price row; a file without line breaks must not fill the memory. */
const MAX_LINE_CHARACTERS = 16_384;

/** A line of text without its end; `line` counts from 1. Of one that is too long only the start is kept. */
export interface TextLine {
  line: number;
  text: string;
  tooLong: boolean;
}

/** Splits a stream of UTF-8 (with or without a byte order mark) at LF or CRLF; invalid bytes become U+FFFD. */
export async function* readLines(
  source: AsyncIterable<Uint8Array | string>,
  limit = MAX_LINE_CHARACTERS,
): AsyncGenerator<TextLine> {
  const decoder = new TextDecoder();
  let line = 0;
  let rest = '';
  let tooLong = false;
  const cut = (text: string): TextLine => {
    const whole = { line: ++line, text: text.endsWith('\r') ? text.slice(0, -1) : text, tooLong };
    tooLong = false;
    return whole;
  };
  for await (const chunk of source) {
    let text = rest + (typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true }));
    if (line === 0 && text.startsWith('\uFEFF')) text = text.slice(1);
    let start = 0;
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', start)) {
      if (end - start > limit) tooLong = true;
      yield cut(text.slice(start, Math.min(end, start + limit)));
      start = end + 1;
    }
    rest = text.slice(start);
    if (rest.length > limit) {
      tooLong = true;
      rest = rest.slice(0, limit);
    }
  }
  rest += decoder.decode();
  if (rest !== '' || tooLong) yield cut(rest);
}
