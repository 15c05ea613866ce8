import { expect, it } from 'vitest';
import { answerIn } from '../../../daemon/sms/answers.ts';

it('a word of either language and six digits are an answer, however they are typed', () => {
  for (const text of [
    'YES 123456',
    'yes 123456',
    ' Yes: 123456. ',
    'NDIYO 123456',
    'ndiyo123456',
    'Yes １２３４５６',
  ])
    expect(answerIn(text), text).toEqual({ kind: 'accept', code: '123456' });
  for (const text of ['NO 000000', 'no\n000000', 'Hapana 000000!'])
    expect(answerIn(text), text).toEqual({ kind: 'refuse', code: '000000' });
});

it('Twilio’s own words are told apart from answers', () => {
  expect(answerIn('stop')).toEqual({ kind: 'stop' });
  expect(answerIn('Start ')).toEqual({ kind: 'start' });
  // Alone it subscribes again at Twilio.
  expect(answerIn('YES')).toEqual({ kind: 'start' });
});

it('everything else is none', () => {
  for (const text of [
    '',
    'NO',
    '123456',
    'YES 12345',
    'YES 1234567',
    'YES 123456 or NO 123456',
    'MAYBE 123456',
    'YES NO 123456',
  ])
    expect(answerIn(text), text).toBeUndefined();
});
