import { expect, it } from 'vitest';
import { readTexts, TEXTS, type TextName, textOf, unreviewedMark } from '../../../daemon/notices/texts.ts';
import { smsSegments } from '../../../daemon/sms/gsm7.ts';
import { endsWithToken, smsText, smsToken } from '../../../daemon/sms/sms-text.ts';

const token = smsToken('note-1');
const long = 'Ushirika wa Wakulima wa Mahindi na Maharagwe wa Kaunti ya Kisumu';

it('every text of every language is one SMS in GSM 03.38, however long the names in it are', async () => {
  for (const language of (await readTexts()).values())
    for (const name of Object.keys(TEXTS) as TextName[]) {
      const values = Object.fromEntries(
        TEXTS[name].map((each) => [each, each === 'until' ? Date.UTC(2026, 10, 30, 21) : long]),
      );
      if (name.startsWith('sms.')) {
        const reply = `${textOf(language, name, { code: '123456' })} ${unreviewedMark(language) ?? ''}`;
        expect(smsSegments(reply.trimEnd()), name).toBe(1);
        continue;
      }
      const tail = textOf(language, 'sms.answer', { code: '123456' });
      const text = smsText({ language, text: name, values, timeZone: 'Africa/Nairobi', tail, token });
      expect(smsSegments(text), text).toBe(1);
      expect(text.endsWith(`${tail} ${token}`)).toBe(true);
      expect(text.includes(' (rasimu) '), text).toBe(language.tag === 'sw');
    }
});

it('what others wrote is shortened no more than needed, and stands in one line', async () => {
  const language = (await readTexts()).get('en');
  if (language === undefined) throw new Error('no English');
  const text = (from: string, deal: string) =>
    smsText({ language, text: 'acceptance', values: { from, deal }, token });
  expect(text('Mary', '80 kg White maize, 55 KES/kg')).toBe(
    `Mary has accepted: 80 kg White maize, 55 KES/kg. The deal stands. ${token}`,
  );
  expect(text('Mary\n\nYou won', 'x')).toBe(`Mary You won has accepted: x. The deal stands. ${token}`);
  expect(text('Wanjirũ', '…')).toBe(`Wanjiru has accepted: .... The deal stands. ${token}`);
  // Without one sign of GSM 03.38 an SMS holds 70: it takes several, and the token is whole.
  const arabic = text('مريم', 'ذرة بيضاء '.repeat(20));
  expect(smsSegments(arabic)).toBeLessThanOrEqual(3);
  expect(arabic.endsWith(token)).toBe(true);
});

it('a token is the same each time, and told apart from texts that have none', () => {
  expect(smsToken('note-1')).toBe(token);
  expect(smsToken('note-2')).not.toBe(token);
  expect(endsWithToken(`hello ${token}`)).toBe(true);
  for (const other of ['', 'hello', 'REDACTED', '#short', `${token} and more`])
    expect(endsWithToken(other), other).toBe(false);
});
