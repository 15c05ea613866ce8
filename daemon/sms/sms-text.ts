import { createHash } from 'node:crypto';
import { type Language, textOf, type TextName, type TextValues, unreviewedMark } from '../notices/texts.ts';
import { gsmText, smsSegments } from './gsm7.ts';

/** Characters of a name or a title, fewer and fewer until the text fits. */
const SHOWN = [60, 40, 30, 24, 18, 12];
/** SMS that one text may take where even that does not fit: texts that are not in GSM 03.38 have 70 characters in one. */
const SEGMENTS_MAX = 3;

/** The text of an SMS: one of the table, what is appended, and the token by which it is found again. */
export interface SmsWords {
  readonly language: Language;
  readonly text: TextName;
  readonly values: TextValues;
  readonly timeZone?: string | undefined;
  /** Behind the text, whole whatever becomes of that. */
  readonly tail?: string | undefined;
  readonly token: string;
}

/** The text as it is sent: one SMS where what others wrote can be shortened to that. */
export function smsText({ language, text, values, timeZone, tail, token }: SmsWords): string {
  const end = gsmText([unreviewedMark(language), tail, token].map((part) => part && ` ${part}`).join(''));
  const written = SHOWN.map((most) =>
    gsmText(textOf(language, text, shortened(values, most), timeZone).replaceAll(/\s+/gu, ' ')),
  );
  for (let segments = 1; segments <= SEGMENTS_MAX; segments++) {
    const fits = written.find((each) => smsSegments(each + end) <= segments);
    if (fits !== undefined) return fits + end;
  }
  return cut(written.at(-1) ?? '', end);
}

/**
 * A token of its own for each SMS, the same however often it is sent: among the messages at the provider it is found by that. That of a
 * notice does not depend on when it came, which is another time after a loss of data.
 */
export function smsToken(id: string): string {
  const name = id.replace(/^note-[0-9a-f]+-/, 'note-');
  const digest = createHash('sha256').update(`sms ${name}`).digest();
  return `#${[...digest.subarray(0, TOKEN_CHARS)].map((byte) => ALPHABET[byte % ALPHABET.length]).join('')}`;
}

/** Whether a text ends as those that are sent from here do. */
export function endsWithToken(text: string): boolean {
  return new RegExp(`#[${ALPHABET}]{${TOKEN_CHARS}}$`).test(text.trimEnd());
}

const TOKEN_CHARS = 6;
/** None that is mistaken for another. */
const ALPHABET = 'abcdefghjkmnpqrstuvwxyz23456789';

function shortened(values: TextValues, most: number): TextValues {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      typeof value === 'string' && value.length > most
        ? `${value
            .slice(0, most - 2)
            .trimEnd()
            .toWellFormed()}..`
        : value,
    ]),
  );
}

function cut(text: string, end: string): string {
  let kept = text;
  while (kept !== '' && smsSegments(kept + end) > SEGMENTS_MAX) kept = kept.slice(0, -1);
  return kept.toWellFormed() + end;
}
