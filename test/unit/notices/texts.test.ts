import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import {
  languageFor,
  parseLanguage,
  readTexts,
  TEXTS,
  textOf,
  type TextName,
  unreviewedMark,
} from '../../../daemon/notices/texts.ts';

const FOLDER = new URL('../../../daemon/notices/texts/', import.meta.url);
const names = Object.keys(TEXTS) as TextName[];

it('every language has every text, each with the names that belong in it, and English and Swahili are there', async () => {
  const languages = await readTexts();
  expect([...languages.keys()]).toEqual(
    readdirSync(FOLDER)
      .map((file) => file.replace('.json', ''))
      .toSorted(),
  );
  expect([...languages.keys()]).toEqual(expect.arrayContaining(['en', 'sw']));
  for (const [tag, language] of languages) {
    expect(new Intl.Locale(tag).toString()).toBe(tag);
    const values = Object.fromEntries(
      Object.values(TEXTS).flatMap((each) => each.map((name) => [name, `<${name}>`])),
    );
    for (const name of names) {
      const text = textOf(language, name, values);
      for (const each of TEXTS[name])
        expect({ tag, name, text }).toMatchObject({ text: expect.stringContaining(`<${each}>`) });
    }
  }
});

it('a file that lacks a text, has one too many or names something else is refused', () => {
  const whole = JSON.parse(readFileSync(new URL('en.json', FOLDER), 'utf8')) as {
    texts: Record<string, string>;
  };
  const withTexts = (texts: Record<string, string>) => JSON.stringify({ ...whole, texts });
  expect(parseLanguage('en', withTexts(whole.texts)).texts.message).toContain('{from}');
  for (const name of names) {
    const { [name]: text = '', ...rest } = whole.texts;
    expect(() => parseLanguage('en', withTexts(rest))).toThrow('not complete');
    const [first] = TEXTS[name];
    if (first !== undefined)
      expect(() =>
        parseLanguage('en', withTexts({ ...rest, [name]: text.replaceAll(`{${first}}`, '') })),
      ).toThrow(name);
    expect(() => parseLanguage('en', withTexts({ ...rest, [name]: `${text} {phone}` }))).toThrow(name);
  }
  expect(() => parseLanguage('en', withTexts({ ...whole.texts, more: 'x' }))).toThrow('not complete');
});

it('a language is reviewed once a speaker has signed it, and found by its family; otherwise it is English', async () => {
  const languages = await readTexts();
  expect(languages.get('sw')?.reviewed).toBe(false);
  const file = JSON.parse(readFileSync(new URL('sw.json', FOLDER), 'utf8')) as object;
  expect(parseLanguage('sw', JSON.stringify({ ...file, reviewedBy: ['a speaker'] })).reviewed).toBe(true);
  const tagFor = (wanted?: string) => languageFor(languages, wanted).tag;
  expect([tagFor('sw-KE'), tagFor('SW'), tagFor('luo'), tagFor(undefined)]).toEqual(['sw', 'sw', 'en', 'en']);
});

it('texts that no speaker has signed have a mark, and signed ones have none', async () => {
  const marks = [...(await readTexts()).values()].map((each) => [each.tag, unreviewedMark(each)]);
  expect(Object.fromEntries(marks)).toEqual({ en: undefined, sw: '(rasimu)' });
});

it('what others wrote is put in once, and times read as in the place of whoever is told', async () => {
  const english = languageFor(await readTexts(), 'en');
  const values = { from: '{deal}', deal: 'Maize', until: Date.UTC(2026, 11, 1, 20, 30) };
  expect(textOf(english, 'hold.ends', values)).toBe(
    'The offer of {deal} ends at 1 Dec 2026, 20:30 UTC: Maize.',
  );
  expect(textOf(english, 'hold.ends', values, 'Africa/Nairobi')).toContain('1 Dec 2026, 23:30:');
});
