import fc from 'fast-check';
import { expect, it } from 'vitest';
import { router } from '../../../api/route.ts';
import { feedRoutes } from '../../../api/routes/feeds.ts';
import { probeClock } from '../../../daemon/doctor/clock-probe.ts';
import { createChallenge } from '../../../daemon/federation/challenge.ts';
import type { GuardedAnswer } from '../../../daemon/federation/guarded-fetch.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { errorCode } from '../../../protocols/errors.ts';
import { splitCarried } from '../../../protocols/market/contract/statement.ts';
import { encodeRangeRequest } from '../../../protocols/mycelium/range.ts';
import { verifyRequest, signRequest } from '../../../protocols/mycelium/signed-request.ts';
import { signIdentityProof } from '../../../protocols/registry/identity-proof.ts';
import { base64url, fromBase64url } from '../../../protocols/wire/bytes.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

const NOW = 1_700_000_000_000;
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** Other texts that a lenient reader takes for the same bytes. */
function otherSpellings(text: string): string[] {
  const last = ALPHABET.indexOf(text.at(-1) ?? 'A');
  const stray = text.length % 4 === 0 ? [] : [text.slice(0, -1) + (ALPHABET[last ^ 1] ?? '')];
  const foreign = [' ', '\n', '!', '\u00e9', '.'].map((c) => `${text.slice(0, 3)}${c}${text.slice(3)}`);
  const classic = text.replaceAll('-', '+').replaceAll('_', '/');
  const spare = text.length % 4 === 0 ? [`${text}A`] : [];
  return [...stray, ...foreign, ...spare, `${text}=`, ` ${text}`, classic].filter((other) => other !== text);
}

it('one text for each bytes, and no other', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 80 }), (bytes) => {
      const text = base64url(bytes);
      expect(fromBase64url(text)).toEqual(bytes);
      for (const other of otherSpellings(text)) expect(fromBase64url(other), other).toBeUndefined();
    }),
  );
  expect(fromBase64url('')).toEqual(new Uint8Array(0));
});

it('a signed request in another spelling is not signed', () => {
  const asked = { net: 'test', receiver: nodeOf(2).peerId, method: 'GET', path: '/federation/feeds' };
  const header = signRequest(nodeOf(1), { ...asked, time: NOW, nonce: new Uint8Array(16) });
  const expected = { ...asked, now: NOW };
  expect(verifyRequest(header, expected).caller).toBe(nodeOf(1).peerId);
  for (const other of otherSpellings(header)) {
    let code = 'none';
    try {
      verifyRequest(other, expected);
    } catch (error) {
      code = errorCode(error);
    }
    expect(code, other).toBe('request-unsigned');
  }
});

it('a range request in another spelling is none', async () => {
  const app = router();
  app.use(async (c, next) => {
    c.set('principal', { id: 'reader', scopes: new Set(['read']) });
    await next();
  });
  app.onError((error, c) => c.text(errorCode(error), 400));
  async function* nothing(): AsyncGenerator<never> {
    yield* [];
  }
  const exchange = { feeds: { range: nothing } } as never;
  app.route('/federation', feedRoutes({ env: systemEnv, log: () => undefined, exchange }));
  const { peerId } = nodeOf(1);
  const ask = async (have: string): Promise<string> => {
    const query = new URLSearchParams({ have }).toString();
    const answer = await app.request(`/federation/feeds/${peerId}?${query}`);
    return answer.status === 200 ? 'answered' : answer.text();
  };
  const have = base64url(encodeRangeRequest({ author: peerId, channel: 'public', have: [] }));
  expect(await ask(have)).toBe('answered');
  for (const other of otherSpellings(have)) expect(await ask(other), other).toBe('query-invalid');
});

it('what a contract carries in another spelling is not read', () => {
  const text = base64url(new Uint8Array(100).fill(7));
  expect(splitCarried(text)).toHaveLength(1);
  // A dot divides one from the next.
  for (const other of otherSpellings(text).filter((each) => !each.includes('.')))
    expect(() => splitCarried(other), other).toThrow();
});

it('a proof of identity in another spelling proves nothing, nor tells the time', async () => {
  const url = 'https://node.example.org';
  const respell = { with: (text: string): string => text };
  const fetch = async (asked: string): Promise<GuardedAnswer> => {
    const nonce = new URL(asked).searchParams.get('nonce') ?? '';
    const said = { nonce, nodeUrl: url, tlsFingerprint: '', time: NOW };
    const proof = respell.with(base64url(signIdentityProof(nodeOf(1), 'test', said)));
    const body = { peerId: nodeOf(1).peerId, network: 'test', proof };
    const bytes = new TextEncoder().encode(JSON.stringify(body));
    return {
      status: 200,
      tlsFingerprint: '',
      headers: { 'content-type': 'application/json' },
      json: async () => body,
      bytes: async () => bytes,
    } as unknown as GuardedAnswer;
  };
  const challenge = createChallenge({ fetch, network: 'test', env: systemEnv, now: () => NOW });
  const parts = { fetch, network: 'test', env: { ...systemEnv, now: () => NOW } };
  const node = { id: nodeOf(1).peerId, label: 'one', url, tlsFingerprint: '' };
  const clock = () => probeClock(parts, node, new AbortController().signal);
  expect((await challenge(url)).peerId).toBe(nodeOf(1).peerId);
  expect(await clock()).toBeDefined();
  const spellings = otherSpellings(base64url(new Uint8Array(4))).length;
  for (let i = 0; i < spellings; i++) {
    respell.with = (text) => otherSpellings(text)[i] ?? `${text}=`;
    await expect(challenge(url)).rejects.toMatchObject({ code: 'proof-invalid' });
    expect(await clock()).toBeUndefined();
  }
});
