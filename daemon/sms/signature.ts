import { createHmac, timingSafeEqual } from 'node:crypto';

/**
 * Whether Twilio has signed a request: HMAC-SHA1 with the account's token over the URL as Twilio has it and every parameter of the form,
 * sorted by name (https://www.twilio.com/docs/usage/security). The URL may have been signed with the port of its scheme or without.
 */
export function isSignedByTwilio(
  authToken: string,
  url: string,
  form: URLSearchParams,
  signature: string,
): boolean {
  const values = new Map<string, Set<string>>();
  for (const [name, value] of form) values.set(name, (values.get(name) ?? new Set()).add(value));
  const said = [...values]
    .toSorted(([a], [b]) => byCodeUnits(a, b))
    .map(([name, of]) =>
      [...of]
        .toSorted(byCodeUnits)
        .map((value) => name + value)
        .join(''),
    )
    .join('');
  const given = Buffer.from(signature);
  return withAndWithoutPort(url).some((each) => {
    const expected = Buffer.from(
      createHmac('sha1', authToken)
        .update(each + said)
        .digest('base64'),
    );
    return expected.length === given.length && timingSafeEqual(expected, given);
  });
}

function byCodeUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function withAndWithoutPort(url: string): string[] {
  const { protocol, host, port } = new URL(url);
  if (port !== '') return [url];
  return [
    url,
    url.replace(`${protocol}//${host}`, `${protocol}//${host}:${protocol === 'https:' ? 443 : 80}`),
  ];
}
