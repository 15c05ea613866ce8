import { parseAccept } from 'hono/utils/accept';
import { ADMIN } from './texts/admin.ts';
import { ATTENTION } from './texts/attention.ts';
import { FEDERATION } from './texts/federation.ts';
import { HOME } from './texts/home.ts';
import { KEYS } from './texts/keys.ts';
import { LISTING } from './texts/listing.ts';
import { SHELL } from './texts/shell.ts';
import { SIGN_IN } from './texts/sign-in.ts';

/** The languages of the pages, those of the notices. `reviewed`: a speaker has signed the texts; the others are marked as drafts. */
export const LANGUAGES = {
  en: { name: 'English', reviewed: true },
  sw: { name: 'Kiswahili', reviewed: false },
} as const satisfies Readonly<Record<string, { readonly name: string; readonly reviewed: boolean }>>;
export type LanguageTag = keyof typeof LANGUAGES;

/** Every text of the pages, in every language; names in braces are put in their place. */
export const TEXTS = {
  ...SHELL,
  ...SIGN_IN,
  ...HOME,
  ...LISTING,
  ...ADMIN,
  ...ATTENTION,
  ...FEDERATION,
  ...KEYS,
} as const satisfies Readonly<Record<string, Readonly<Record<LanguageTag, string>>>>;
export type TextName = keyof typeof TEXTS;

/** A text in the reader's language. Values are inserted once, whatever braces they contain, and are still text: the page escapes them. */
export type Translate = (name: TextName, values?: Readonly<Record<string, string | number>>) => string;

export function translator(tag: LanguageTag): Translate {
  return (name, values = {}) =>
    TEXTS[name][tag].replaceAll(/\{([^}]*)\}/g, (_, each: string) => String(values[each] ?? ''));
}

export function isLanguage(tag: string | undefined): tag is LanguageTag {
  return tag !== undefined && Object.hasOwn(LANGUAGES, tag);
}

/** The language that a browser prefers among ours (RFC 9110, 12.5.4); English when it names none of them. */
export function preferredLanguage(acceptLanguage: string | undefined): LanguageTag {
  const wanted = parseAccept(acceptLanguage ?? '').toSorted((a, b) => b.q - a.q);
  for (const { type } of wanted) {
    const tag = type.toLowerCase().split('-')[0];
    if (isLanguage(tag)) return tag;
  }
  return 'en';
}
