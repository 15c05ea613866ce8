import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { errorAnswer } from '../../../api/errors.ts';
import {
  ERROR_CODES,
  errorCodeTable,
  type ErrorCode,
  isSendersFault,
} from '../../../protocols/error-codes.ts';
import { AgrinetError } from '../../../protocols/errors.ts';

const specification = readFileSync(new URL('../../../protocols/README.md', import.meta.url), 'utf8');
/** The codes of a row of the registry, by what it says of them. */
const row = (what: string): string[] => {
  const line = specification.split('\n').find((each) => each.startsWith('| `') && each.includes(what));
  return [...(line?.split(' | ')[0]?.matchAll(/`([a-z-]+)`/g) ?? [])].map(([, code = '']) => code);
};

it('whoever sends what admission rejects is to blame, whichever way it comes', () => {
  const rejected = row('| admission, reject |');
  expect(rejected.length).toBeGreaterThan(8);
  expect(rejected.filter((code) => !isSendersFault(code))).toEqual([]);
});

it('nobody is to blame for what depends on this node: its registry, its disk, its faults', () => {
  const ignored = row('| admission, ignore |');
  expect(ignored.length).toBeGreaterThan(8);
  const own = [
    'disk-full',
    'storage-failed',
    'internal',
    'settings-invalid',
    'token-invalid',
    'value-damaged',
  ];
  expect([...ignored, ...own].filter(isSendersFault)).toEqual([]);
});

/** What clients have met under each status since before there was a table. */
const MET: Readonly<Record<number, string>> = {
  400: 'address-refused body-malformed body-too-deep coordinates-malformed export-differs export-malformed fence-malformed fields-invalid id-invalid idempotency-malformed key-invalid key-limit key-malformed listings.header not-asked-for peer-sent-invalid query-invalid rating-score reason-required registration-invalid registration-self request-malformed wfp.header',
  401: 'token-invalid',
  403: 'forbidden form-stale host-refused key-used not-a-party origin-refused request-unsigned sign-in-insecure sign-in-link-used unauthorized',
  404: 'key-unknown node-unknown not-found source-unknown user-unknown',
  405: 'method-refused',
  408: 'body-slow headers-slow',
  409: 'accept-own attempt-over backup-busy checkpoint-incomplete checkpoint-refused contract-full contract-state contract-unsettled evidence-kept hold-endless hold-not-over idempotency-busy idempotency-done job-claimed job-ended job-not-dead job-not-due key-inactive keys-full listing-differs listing-ended listing-exists listing-moved listing-without-seller mirror-busy mirror-filling mirror-off mirror-table-missing node-state node-suspended not-supplier party-unknown proposal-expired proposal-unknown proposal-unnamed quantity-granted record-ended registration-replayed registry-full schema-newer sms-off sms-replayed stock-short terms-changed terms-conflict terms-full terms-incomplete users-full wants-full',
  413: 'body-too-large digest-too-large',
  415: 'media-unsupported',
  422: 'idempotency-mismatch',
  429: 'rate-limited too-many-streams',
  431: 'headers-too-large',
  500: 'internal',
  502: 'answer-malformed answer-too-large certificate-changed certificate-foreign frontier-malformed identity-absent join-failed peer-distrusted peer-redirects peer-refused peer-timeout peer-unreachable prefix-malformed proof-invalid source-key-needed source-key-refused stream-truncated',
  503: 'attachment-unavailable busy clock-wrong database-damaged jobs-full mirror-away mirror-denied mirror-throttled program-changed record-merging rejoining stopping storage-failed streams-full token-unverifiable',
  507: 'attachments-full disk-full',
};

it('clients meet each code with the status it has always had', () => {
  const shown = new Map<string, string[]>();
  for (const [, status = '', code = ''] of errorCodeTable().matchAll(/^\| (\d{3}) \| `([a-z.-]+)`/gm))
    shown.set(status, [...(shown.get(status) ?? []), code]);
  expect(Object.fromEntries([...shown].map(([status, codes]) => [status, codes.join(' ')]))).toEqual(MET);
  for (const [status, codes] of shown)
    for (const code of codes)
      expect(errorAnswer(new AgrinetError(code as ErrorCode, 'why'))).toMatchObject({
        status: Number(status),
        body: { code, message: code === 'internal' ? expect.stringContaining('log') : 'why' },
      });
});

it('a code that clients do not meet is told to none', () => {
  const inner = Object.entries(ERROR_CODES).filter(([, { http }]) => http === 500);
  expect(inner.length).toBeGreaterThan(90);
  for (const [code] of inner)
    expect(errorAnswer(new AgrinetError(code as ErrorCode, 'secret'))).toEqual({
      status: 500,
      body: expect.objectContaining({ code: 'internal', message: expect.not.stringContaining('secret') }),
    });
});

it('a code without a row does not compile, and is nobody’s fault', () => {
  // @ts-expect-error there is no such row
  const error = new AgrinetError('never-heard-of', 'x');
  expect(isSendersFault(error.code)).toBe(false);
  expect(isSendersFault('constructor')).toBe(false);
});
