const QUOTE = 0x22;
const BACKSLASH = 0x5c;

const COMMA = 0x2c;

/**
 * Whether arrays and objects of a JSON text are nested deeper than `max`. One pass that parses nothing: a second JSON.parse would
 * cost writes per second. Invalid JSON is refused by the parser afterwards.
 */
export function isDeeper(text: string, max: number): boolean {
  return excessOf(text, { depth: max, values: Infinity }) === 'depth';
}

/** The bound that a JSON text exceeds: of its depth, or of the values in it. The same one pass. */
export function excessOf(
  text: string,
  most: { readonly depth: number; readonly values: number },
): 'depth' | 'values' | undefined {
  let depth = 0;
  let values = 1;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        at = endOfString(text, at);
        break;
      case 0x5b: // [
      case 0x7b: // {
        if (++depth > most.depth) return 'depth';
        if (++values > most.values) return 'values';
        break;
      case COMMA:
        if (++values > most.values) return 'values';
        break;
      case 0x5d: // ]
      case 0x7d: // }
        depth--;
        break;
      default:
    }
  }
  return undefined;
}

/** Where the string that begins at `start` ends; the end of the text when it does not. */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1);
  while (end !== -1) {
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return end;
    end = text.indexOf('"', end + 1);
  }
  return text.length;
}
