import { readdir, readFile } from 'node:fs/promises';
import { z } from 'zod';
import { AgrinetError } from '../../protocols/errors.ts';
import { readableTime } from '../../protocols/wire/iso-time.ts';

/** Every text of a notice or an SMS, and the names in braces that it contains. */
export const TEXTS = {
  message: ['from', 'title'],
  proposal: ['from', 'deal'],
  'proposal.until': ['from', 'deal', 'until'],
  acceptance: ['from', 'deal'],
  refusal: ['from', 'deal'],
  'cancellation.draft': ['from', 'deal'],
  'cancellation.asked': ['from', 'deal'],
  cancellation: ['from', 'deal'],
  progress: ['from', 'deal', 'progress'],
  'settlement.said': ['from', 'deal'],
  settlement: ['from', 'deal'],
  dispute: ['from', 'deal'],
  'resolution.said': ['from', 'deal'],
  resolution: ['from', 'deal'],
  rating: ['from', 'score', 'deal'],
  'rating.contested': ['from', 'score', 'deal'],
  'rating.accepted': ['from', 'score', 'deal'],
  'rating.dismissed': ['from', 'score', 'deal'],
  'rating.upheld': ['from', 'score', 'deal'],
  'hold.ends': ['from', 'deal', 'until'],
  'hold.ended': ['deal'],
  want: ['want', 'title'],
  'want.more': ['want'],
  // Behind the SMS of a proposal, and in reply to an SMS.
  'sms.answer': ['code'],
  'sms.accepted': [],
  'sms.refused': [],
  'sms.wrong': [],
  'sms.void': [],
  'sms.later': [],
  'sms.help': [],
  // Behind each SMS in texts that no speaker has signed yet.
  'sms.unreviewed': [],
  // Where it can be read is behind it.
  'sms.summary': ['count'],
} as const satisfies Readonly<Record<string, readonly string[]>>;

export type TextName = keyof typeof TEXTS;
/** By name; a number is a time, milliseconds since 1970. */
export type TextValues = Readonly<Record<string, string | number>>;

/** The texts of one language, as its file has them. */
export interface Language {
  /** BCP 47; also the name of its file. */
  readonly tag: string;
  /** The name of the language in itself. */
  readonly name: string;
  /** Whether a speaker has signed the texts. */
  readonly reviewed: boolean;
  readonly texts: Readonly<Record<TextName, string>>;
}

/** Used where there is no text in the language of a user. */
export const FALLBACK = 'en';
const FOLDER = new URL('texts/', import.meta.url);

const Entries = z.strictObject(
  Object.fromEntries(Object.keys(TEXTS).map((name) => [name, z.string().min(1).max(400)])) as Record<
    TextName,
    z.ZodString
  >, // one for each name
);
const File = z.strictObject({
  name: z.string().min(1).max(64),
  /** Who has reviewed them, a speaker of the language; empty where nobody has yet. */
  reviewedBy: z.array(z.string().min(1)),
  texts: Entries,
});

/** Reads every file of the folder. Throws `internal` for one that is not complete. */
export async function readTexts(): Promise<ReadonlyMap<string, Language>> {
  const languages = new Map<string, Language>();
  for (const file of (await readdir(FOLDER)).toSorted()) {
    const tag = file.replace(/\.json$/, '');
    languages.set(tag, parseLanguage(tag, await readFile(new URL(file, FOLDER), 'utf8')));
  }
  return languages;
}

/** Throws `internal` for texts that are incomplete, or that use unknown names. */
export function parseLanguage(tag: string, content: string): Language {
  const parsed = File.safeParse(JSON.parse(content));
  if (!parsed.success)
    throw new AgrinetError('internal', `the texts in ${tag} are not complete`, { cause: parsed.error });
  const { name, reviewedBy, texts } = parsed.data;
  for (const [text, names] of Object.entries(TEXTS)) {
    const used = [...texts[text as TextName].matchAll(/\{([^}]*)\}/g)].map(([, each = '']) => each); // a key of TEXTS
    const needed: readonly string[] = names;
    if ([...new Set(used)].toSorted().join() !== needed.toSorted().join())
      throw new AgrinetError('internal', `${tag}: ${text} has to name ${needed.join(', ')}, each in braces`);
  }
  return { tag, name, reviewed: reviewedBy.length > 0, texts };
}

/** What shows that no speaker has signed these texts yet, for where there is only text; undefined where one has. */
export function unreviewedMark(language: Language): string | undefined {
  return language.reviewed ? undefined : textOf(language, 'sms.unreviewed', {});
}

/** The language for somebody: the one asked for, one of its family, or English. */
export function languageFor(languages: ReadonlyMap<string, Language>, wanted: string | undefined): Language {
  const tag = wanted?.toLowerCase() ?? FALLBACK;
  const found = languages.get(tag) ?? languages.get(tag.split('-')[0] ?? '') ?? languages.get(FALLBACK);
  if (found === undefined) throw new AgrinetError('internal', 'the English texts are missing');
  return found;
}

/**
 * The text with its values inserted, times in the user's form. Values written by others are inserted once, whatever braces they
 * contain.
 */
export function textOf(
  { tag, texts }: Language,
  name: TextName,
  values: TextValues,
  timeZone: string = 'UTC',
): string {
  const shown = (value: string | number = ''): string =>
    typeof value === 'string' ? value : readableTime(value, tag, timeZone);
  return texts[name].replaceAll(/\{([^}]*)\}/g, (_, each: string) => shown(values[each]));
}
