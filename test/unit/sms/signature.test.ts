import { expect, it } from 'vitest';
import { isSignedByTwilio } from '../../../daemon/sms/signature.ts';

// As Twilio's reference and its own client sign it.
const URL_ = 'https://mycompany.com/myapp.php?foo=1&bar=2';
const FORM = {
  To: '+18005551212',
  CallSid: 'CA1234567890ABCDE',
  Caller: '+14158675309',
  Digits: '1234',
  From: '+14158675309',
};
const SIGNATURE = 'RSOYDt4T1cUTdK1PDd93/VVr8B8=';
const signed = (url: string, form: Record<string, string>, signature: string, token = '12345') =>
  isSignedByTwilio(token, url, new URLSearchParams(form), signature);

it('the example of Twilio’s reference is signed, in whatever order its parameters come', () => {
  expect(signed(URL_, FORM, SIGNATURE)).toBe(true);
  expect(signed(URL_, Object.fromEntries(Object.entries(FORM).toReversed()), SIGNATURE)).toBe(true);
});

it('as many parameters as a body holds are put in order in the time that it takes to read them', () => {
  const form = new URLSearchParams(Array.from({ length: 60_000 }, (_, i) => [i.toString(36), '']));
  const before = process.threadCpuUsage();
  expect(isSignedByTwilio('12345', URL_, form, SIGNATURE)).toBe(false);
  const { user, system } = process.threadCpuUsage(before);
  expect((user + system) / 1000).toBeLessThan(1000);
});

it('another parameter, value, URL, token or signature is not', () => {
  expect(signed(URL_, { ...FORM, Digits: '1235' }, SIGNATURE)).toBe(false);
  expect(signed(URL_, { ...FORM, Extra: '' }, SIGNATURE)).toBe(false);
  expect(signed(`${URL_}3`, FORM, SIGNATURE)).toBe(false);
  expect(signed(URL_.replace('https', 'http'), FORM, SIGNATURE)).toBe(false);
  expect(signed(URL_, FORM, SIGNATURE, '12346')).toBe(false);
  for (const other of ['', 'RSOYDt4T1cUTdK1PDd93/VVr8B8', `${SIGNATURE}=`, 'ü'.repeat(14)])
    expect(signed(URL_, FORM, other)).toBe(false);
});
