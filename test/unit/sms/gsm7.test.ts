import fc from 'fast-check';
import { expect, it } from 'vitest';
import { gsmText, smsSegments } from '../../../daemon/sms/gsm7.ts';

it('160 septets are one SMS, and 153 each of several; signs behind an escape take two', () => {
  const lengths = [1, 160, 161, 306, 307].map((n) => smsSegments('a'.repeat(n)));
  expect(lengths).toEqual([1, 1, 2, 2, 3]);
  expect([80, 81].map((n) => smsSegments('€'.repeat(n)))).toEqual([1, 2]);
  expect(smsSegments('@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ¤¡ÄÖÑÜ§¿äöñüà')).toBe(1);
});

it('with one other character 70 are one, and 67 each of several', () => {
  expect([69, 70].map((n) => smsSegments(`ẹ${'a'.repeat(n)}`))).toEqual([1, 2]);
  expect(smsSegments('😀'.repeat(35))).toBe(1);
  expect(smsSegments('😀'.repeat(36))).toBe(2);
});

it('typographic signs and accents that it lacks are written plainly; what has no plain form stays', () => {
  expect(gsmText('“Mahindi” – kg 80… ‘A’')).toBe('"Mahindi" - kg 80... \'A\'');
  expect(gsmText('Wanjirũ Mũthoni, Ọjọ, Łódź')).toBe('Wanjiru Muthoni, Ojo, Łodz');
  expect(gsmText('é è ñ ü ß Å')).toBe('é è ñ ü ß Å');
  expect(gsmText('9:00\u202fPM')).toBe('9:00 PM');
  expect(gsmText('ذرة بيضاء')).toBe('ذرة بيضاء');
});

it('what it gives stays as it is, and takes no more SMS than before, but for what needs several signs', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      const plain = gsmText(text);
      expect(gsmText(plain)).toBe(plain);
      if (smsSegments(text.normalize('NFC')) === 1 && !text.includes('…')) expect(smsSegments(plain)).toBe(1);
    }),
  );
});
