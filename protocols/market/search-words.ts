import { COMMODITY_NAMES } from './commodity-names.ts';

/** Letters that have no decomposition, as people without them on their keyboards type them. */
const PLAIN: Readonly<Record<string, string>> = {
  ß: 'ss',
  æ: 'ae',
  œ: 'oe',
  ø: 'o',
  đ: 'd',
  ð: 'd',
  ł: 'l',
  þ: 'th',
  ı: 'i',
};
/** English words whose final `s` is not a plural. */
const IRREGULAR: Readonly<Record<string, string>> = {
  leaves: 'leaf',
  loaves: 'loaf',
  calves: 'calf',
  halves: 'half',
  geese: 'goose',
  oxen: 'ox',
};
/** Words that say nothing about goods, in English and Swahili: they are neither kept nor asked for. */
const EMPTY_WORDS: ReadonlySet<string> = new Set(
  'a an and at by for from in is of on or per the to with cha kwa la na ni vya wa ya za'.split(' '),
);
/** A word is indexed up to this length, in UTF-16 units: a text without spaces does not make a longer row in an index. */
const WORD_UNITS = 64;
/** Words whose folding is remembered: those of a market repeat. */
const REMEMBERED = 20_000;

const NOT_ASCII = /[^\0-\x7f]/;
const ASCII_WORDS = /[a-z]+|[0-9]+/g;
const WORDS = /[\p{L}\p{M}]+|\p{N}+/gu;
const MARKS = /[\u0300-\u036f]/g;
const SPECIAL = new RegExp(`[${Object.keys(PLAIN).join('')}]`, 'g');
const APOSTROPHES = /(?<=\p{L})['’‘ʼ](?=\p{L})/gu;

/**
 * The words of a text as searches compare them: small letters without diacritics, letters and digits apart ("90kg" is "90 kg"), apostrophes
 * within words left out ("ng'ombe"), English plurals as singulars. A word may occur several times.
 */
export function wordsOf(text: string): string[] {
  const words: string[] = [];
  for (const token of tokensOf(text)) {
    const word = folded(token);
    if (word !== '') words.push(word);
  }
  return words;
}

function tokensOf(text: string): readonly string[] {
  let plain = text.toLowerCase();
  if (plain.includes("'") || NOT_ASCII.test(plain)) plain = plain.replace(APOSTROPHES, '');
  if (!NOT_ASCII.test(plain)) return plain.match(ASCII_WORDS) ?? [];
  plain = plain
    .normalize('NFKD')
    .replace(MARKS, '')
    .toLowerCase()
    .replace(SPECIAL, (letter) => PLAIN[letter] ?? letter);
  return plain.match(WORDS) ?? [];
}

const remembered = new Map<string, string>();

/** A token as it is indexed; empty for one without content. */
function folded(token: string): string {
  const known = remembered.get(token);
  if (known !== undefined) return known;
  const word = EMPTY_WORDS.has(token) ? '' : singular(token).slice(0, WORD_UNITS).toWellFormed();
  if (remembered.size >= REMEMBERED) remembered.clear();
  remembered.set(token, word);
  return word;
}

/**
 * One form for singular and plural; it need not be a word. What ends in `e` after a sibilant or an `o` loses it either way, so that
 * "cheeses" matches "cheese" and "boxes" matches "box".
 */
function singular(word: string): string {
  const known = IRREGULAR[word];
  if (known !== undefined && Object.hasOwn(IRREGULAR, word)) return known;
  if (word.length < 4) return word;
  const one = word.endsWith('s') && !/(?:ss|us|is)$/.test(word) ? word.slice(0, -1) : word;
  if (one.endsWith('ie') && one.length > 4) return `${one.slice(0, -2)}y`;
  return one.length > 3 && /(?:[sxzo]|ch|sh)e$/.test(one) ? one.slice(0, -1) : one;
}

/** One clause of a search: all words of any of these lists, or a word with this prefix. */
export interface Clause {
  readonly any: readonly (readonly string[])[];
  readonly prefix?: string;
}

/** Groups of names by their first words, the longest names first. */
const NAMES = namesByFirstWord(COMMODITY_NAMES);

function namesByFirstWord(groups: readonly (readonly string[])[]) {
  const names = new Map<string, { readonly words: string[]; readonly any: readonly string[][] }[]>();
  for (const group of groups) {
    const any = group.map(wordsOf);
    for (const words of any) {
      const [first = ''] = words;
      names.set(first, [...(names.get(first) ?? []), { words, any }]);
    }
  }
  for (const each of names.values()) each.sort((a, b) => b.words.length - a.words.length);
  return names;
}

/**
 * The clauses of a search, all of which must match: each word, or the name of goods with the other names they have. A `*` at the end
 * makes the last word a prefix. Nothing when no word is left.
 */
export function clausesOf(q: string): Clause[] {
  const text = q.trim();
  const words = wordsOf(text);
  const prefix = text.endsWith('*') ? words.pop() : undefined;
  const clauses: Clause[] = [];
  for (let at = 0; at < words.length;) {
    const name = NAMES.get(words[at] ?? '')?.find((each) =>
      each.words.every((word, i) => words[at + i] === word),
    );
    clauses.push({ any: name?.any ?? [[words[at] ?? '']] });
    at += name?.words.length ?? 1;
  }
  if (prefix !== undefined) clauses.push({ any: [], prefix });
  return clauses;
}

/** Whether words match a clause. */
export function matchesClause(words: ReadonlySet<string>, { any, prefix }: Clause): boolean {
  return (
    any.some((all) => all.every((word) => words.has(word))) ||
    (prefix !== undefined && [...words].some((word) => word.startsWith(prefix)))
  );
}
