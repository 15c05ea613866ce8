/** The characters of GSM 03.38, each one septet: 160 of them are one SMS. */
const BASIC = new Set(
  '@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&\'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà',
);
/** Those behind an escape: two septets. */
const EXTENDED = new Set('^{}\\[~]|€');
/** Characters that a phone shows the same, written as others. */
const OTHERWISE: ReadonlyMap<string, string> = new Map([
  ['…', '...'],
  ['‘', "'"],
  ['’', "'"],
  ['‚', "'"],
  ['“', '"'],
  ['”', '"'],
  ['„', '"'],
  ['«', '"'],
  ['»', '"'],
  ['‐', '-'],
  ['‑', '-'],
  ['–', '-'],
  ['—', '-'],
  ['−', '-'],
  ['•', '-'],
  ['×', 'x'],
]);
const SPACE = /\p{Zs}/u;
const MARKS = /\p{M}/gu;

/**
 * A text with as many of its characters as possible in GSM 03.38: typographic signs and accents outside it are replaced by plain
 * ones.
 */
export function gsmText(text: string): string {
  return Array.from(text.normalize('NFC'), (each) => (isGsm(each) ? each : plain(each))).join('');
}

/** How many SMS a text takes: 160 septets, or 153 in each of several; with any other character 70 and 67 UTF-16 units. */
export function smsSegments(text: string): number {
  const signs = Array.from(text);
  if (!signs.every(isGsm)) return text.length <= 70 ? 1 : Math.ceil(text.length / 67);
  const septets = signs.reduce((sum, each) => sum + (EXTENDED.has(each) ? 2 : 1), 0);
  return septets <= 160 ? 1 : Math.ceil(septets / 153);
}

function isGsm(sign: string): boolean {
  return BASIC.has(sign) || EXTENDED.has(sign);
}

function plain(sign: string): string {
  if (SPACE.test(sign)) return ' ';
  const bare = sign.normalize('NFD').replaceAll(MARKS, '');
  return OTHERWISE.get(sign) ?? (bare !== '' && Array.from(bare).every(isGsm) ? bare : sign);
}
