import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createHmac, randomBytes } from 'node:crypto';
import { exportJWK, exportSPKI, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { createTokens } from '../../../daemon/access/tokens.ts';

const secret = randomBytes(32).toString('base64');
const HOUR = 3600;
let now = Date.now();
const seconds = (): number => Math.floor(now / 1000);
const clock = { now: () => now, steady: () => now, fetch };
const withSecret = createTokens(
  { jwtSecret: secret, oauthIssuer: undefined, oauthAudience: undefined },
  clock,
);
const refused = { code: 'token-invalid', message: 'Unauthorized: Invalid Token' };

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token with whatever header, signed by HMAC with whatever key. */
function forged(header: object, payload: object, key: string | Uint8Array): string {
  const body = `${encode(header)}.${encode(payload)}`;
  return `${body}.${createHmac('sha256', key).update(body).digest('base64url')}`;
}

const good = (): JWTPayload => ({ sub: 'amina', exp: seconds() + HOUR });
const hs256 = (payload: object, key: string = secret): string => forged({ alg: 'HS256' }, payload, key);

describe('HS256 with JWT_SECRET', () => {
  test('says who it is; without scopes it reads and writes', async () => {
    const principal = await withSecret.verify(hs256(good()));
    expect(principal).toEqual({
      id: 'token:amina',
      userId: 'amina',
      scopes: new Set(['read', 'write']),
    });
  });

  test('takes the user from the claims that old tokens have', async () => {
    const { exp } = good();
    expect(await withSecret.verify(hs256({ id: 'ben', exp }))).toMatchObject({ userId: 'ben' });
    expect(await withSecret.verify(hs256({ userId: 'ben', exp }))).toMatchObject({ userId: 'ben' });
    for (const wrong of [{}, { sub: '' }, { sub: 7 }, { id: 'x'.repeat(257) }])
      await expect(withSecret.verify(hs256({ ...wrong, exp }))).rejects.toMatchObject(refused);
  });

  test.each([
    [{ scope: 'read' }, ['read']],
    [{ scope: 'openid register worker' }, ['register', 'worker']],
    [{ scopes: ['write', 'root', 7] }, ['write']],
    [{ scope: 'openid profile' }, ['read', 'write']],
    [{ role: 'user' }, ['read', 'write']],
    [{ role: 'admin' }, ['read', 'write', 'operator']],
    [{ scope: 'operator' }, ['operator']],
    [{ scope: { operator: true }, role: { admin: 1 } }, ['read', 'write']],
  ])('%j is %j', async (claims, scopes) => {
    const principal = await withSecret.verify(hs256({ ...good(), ...claims }));
    expect(principal.scopes).toEqual(new Set(scopes));
  });

  test('expires, with five seconds for clocks that differ; `exp` is required', async () => {
    await withSecret.verify(hs256({ ...good(), exp: seconds() - 4 }));
    const { exp: _, ...endless } = good();
    for (const payload of [
      endless,
      { ...good(), exp: seconds() - 6 },
      { ...good(), exp: String(seconds() + HOUR) },
      { ...good(), exp: null },
      { ...good(), nbf: seconds() + 60 },
    ])
      await expect(withSecret.verify(hs256(payload)), JSON.stringify(payload)).rejects.toMatchObject(refused);
  });

  test('refuses other secrets, other algorithms, and what is no token', async () => {
    const [header = '', payload = '', signature = ''] = hs256(good()).split('.');
    const wrong = [
      hs256(good(), `${secret}x`),
      hs256(good(), ''),
      `${encode({ alg: 'none' })}.${payload}.`,
      `${encode({ alg: 'none' })}.${payload}.${signature}`,
      `${encode({ alg: 'None' })}.${payload}.`,
      forged({ alg: 'HS384' }, good(), secret),
      forged({ alg: 'RS256' }, good(), secret),
      forged({ typ: 'JWT' }, good(), secret),
      forged({ alg: 'HS256', crit: ['x'], x: 1 }, good(), secret),
      forged({ alg: 'HS256', b64: false, crit: ['b64'] }, good(), secret),
      `${header}.${encode({ ...good(), role: 'admin' })}.${signature}`,
      `${header}.${payload}`,
      `${header}.${payload}.`,
      `${header}.${payload}.${signature}.x`,
      '',
      '..',
      'x',
      'ü'.repeat(9),
      `${'a'.repeat(20_000)}.b.c`,
    ];
    for (const token of wrong)
      await expect(withSecret.verify(token), token.slice(0, 60)).rejects.toMatchObject(refused);
  });

  test('is not taken without a secret', async () => {
    const none = createTokens(
      { jwtSecret: undefined, oauthIssuer: undefined, oauthAudience: undefined },
      clock,
    );
    for (const token of [hs256(good()), hs256(good(), ''), hs256(good(), 'undefined')])
      await expect(none.verify(token)).rejects.toMatchObject(refused);
  });

  test('the secret before is good until its grace time ends, under the same rules', async () => {
    const before = randomBytes(32).toString('base64');
    const until = now + 60_000;
    const settings = { jwtSecret: secret, oauthIssuer: undefined, oauthAudience: undefined };
    const both = createTokens({ ...settings, jwtSecretPrevious: before, previousSecretsUntil: until }, clock);
    for (const key of [secret, before])
      expect(await both.verify(hs256(good(), key))).toMatchObject({ userId: 'amina' });
    const wrong = [
      hs256(good(), randomBytes(32).toString('base64')),
      hs256({ sub: 'amina' }, before),
      hs256({ sub: 'amina', exp: seconds() - 60 }, before),
      forged({ alg: 'HS512' }, good(), before),
    ];
    for (const token of wrong) await expect(both.verify(token)).rejects.toMatchObject(refused);
    now = until - 1;
    await both.verify(hs256(good(), before));
    now = until;
    await expect(both.verify(hs256(good(), before))).rejects.toMatchObject(refused);
    await both.verify(hs256(good()));
    expect(() => createTokens({ ...settings, jwtSecretPrevious: before }, clock)).toThrow(
      expect.objectContaining({
        code: 'settings-invalid',
        message: expect.stringMatching(/^PREVIOUS_SECRETS_UNTIL: not set, so JWT_SECRET_PREVIOUS would/),
      }),
    );
  });
});

describe('an issuer by its JWKS', () => {
  let server: Server;
  let issuer = '';
  let answers: Record<string, unknown>;
  let asked: string[];
  let status: number;
  let moved: string | undefined;
  let keys: Awaited<ReturnType<typeof generateKeyPair>>;
  const audience = 'agrinet';

  beforeAll(async () => {
    keys = await generateKeyPair('RS256', { extractable: true });
    server = createServer((request, response) => {
      asked.push(request.url ?? '');
      response.writeHead(request.url === moved ? 302 : status, { location: '/elsewhere' });
      response.end(JSON.stringify(answers[request.url ?? ''] ?? null));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => new Promise<unknown>((resolve) => server.close(resolve)));
  beforeEach(async () => {
    asked = [];
    status = 200;
    moved = undefined;
    answers = {
      '/.well-known/openid-configuration': { issuer, jwks_uri: `${issuer}/jwks` },
      '/jwks': { keys: [{ ...(await exportJWK(keys.publicKey)), kid: 'one', alg: 'RS256' }] },
    };
  });

  const tokens = () =>
    createTokens({ jwtSecret: secret, oauthIssuer: issuer, oauthAudience: audience }, clock);
  const sign = (claims: JWTPayload = {}, kid = 'one', key = keys.privateKey): Promise<string> =>
    new SignJWT({ sub: 'amina', iss: issuer, aud: audience, exp: seconds() + HOUR, ...claims })
      .setProtectedHeader({ alg: 'RS256', kid })
      .sign(key);

  test('is asked once for many tokens', async () => {
    const verifier = tokens();
    const token = await sign({ scope: 'read worker' });
    const all = await Promise.all(Array.from({ length: 20 }, () => verifier.verify(token)));
    expect(new Set(all.map(({ id }) => id))).toEqual(new Set(['token:amina']));
    expect(all[0]?.scopes).toEqual(new Set(['read', 'worker']));
    expect(asked).toEqual(['/.well-known/openid-configuration', '/jwks']);
  });

  test('wrong issuer, audience, expiry or key: refused', async () => {
    const verifier = tokens();
    await verifier.verify(await sign());
    await verifier.verify(await sign({ iss: `${issuer}/`, aud: ['other', audience] }));
    const stranger = await generateKeyPair('RS256');
    const claims = { sub: 'amina', iss: issuer, aud: audience, exp: seconds() + HOUR };
    const without = (name: keyof typeof claims): Promise<string> => {
      const { [name]: _, ...rest } = claims;
      return new SignJWT(rest).setProtectedHeader({ alg: 'RS256', kid: 'one' }).sign(keys.privateKey);
    };
    for (const token of [
      await sign({ iss: 'https://other.example' }),
      await sign({ aud: 'other' }),
      await sign({ aud: [] }),
      await sign({ exp: seconds() - 6 }),
      await sign({}, 'one', stranger.privateKey),
      await without('iss'),
      await without('aud'),
      await without('exp'),
      await without('sub'),
    ])
      await expect(verifier.verify(token)).rejects.toMatchObject(refused);
  });

  test('its public key as an HMAC secret opens nothing, nor does the secret as its key', async () => {
    const verifier = tokens();
    const claims = { ...good(), iss: issuer, aud: audience };
    const pem = await exportSPKI(keys.publicKey);
    const jwk = JSON.stringify(await exportJWK(keys.publicKey));
    const onlyIssuer = createTokens(
      { jwtSecret: undefined, oauthIssuer: issuer, oauthAudience: audience },
      clock,
    );
    for (const each of [verifier, onlyIssuer])
      for (const key of [pem, pem.trim(), jwk])
        for (const alg of ['HS256', 'RS256'])
          await expect(each.verify(forged({ alg, kid: 'one' }, claims, key))).rejects.toMatchObject(refused);
    // The issuer lists a symmetric key, which everybody can read: it is no key for HS256.
    const k = Buffer.from('a key that everybody can read').toString('base64url');
    answers['/jwks'] = { keys: [{ kty: 'oct', k, kid: 'one', alg: 'HS256' }] };
    const listed = forged({ alg: 'HS256', kid: 'one' }, claims, 'a key that everybody can read');
    await expect(onlyIssuer.verify(listed)).rejects.toMatchObject(refused);
    await expect(tokens().verify(listed)).rejects.toMatchObject(refused);
    // A key inside the token's own header is nobody's key.
    const stranger = await generateKeyPair('RS256', { extractable: true });
    const own = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'RS256', jwk: await exportJWK(stranger.publicKey), kid: 'one' })
      .sign(stranger.privateKey);
    await expect(verifier.verify(own)).rejects.toMatchObject({ code: 'token-invalid' });
  });

  test('a new key of the issuer is fetched, an old one withdrawn goes; made-up keys do not hammer it', async () => {
    const verifier = tokens();
    const old = await sign();
    await verifier.verify(old);
    const next = await generateKeyPair('RS256', { extractable: true });
    answers['/jwks'] = { keys: [{ ...(await exportJWK(next.publicKey)), kid: 'two', alg: 'RS256' }] };
    const rotated = await sign({}, 'two', next.privateKey);
    await expect(verifier.verify(rotated), 'fetched a moment ago').rejects.toMatchObject(refused);
    now += 30_000;
    asked = [];
    await verifier.verify(rotated);
    await expect(verifier.verify(old)).rejects.toMatchObject(refused);
    for (let n = 0; n < 50; n++)
      await expect(verifier.verify(await sign({}, `made-up-${n}`))).rejects.toMatchObject(refused);
    expect(asked).toHaveLength(2);
  });

  test('a key that it has withdrawn goes within ten minutes, without one request waiting for it', async () => {
    const verifier = tokens();
    const old = await sign();
    await verifier.verify(old);
    answers['/jwks'] = { keys: [] };
    now += 600_001;
    asked = [];
    await verifier.verify(old);
    await vi.waitFor(() => expect(asked).toHaveLength(2));
    await vi.waitFor(() => expect(verifier.verify(old)).rejects.toMatchObject(refused));
  });

  test('its keys are not fetched over plain http from elsewhere', async () => {
    const jwks_uri = 'http://node.example.org/jwks';
    answers['/.well-known/openid-configuration'] = { issuer, jwks_uri };
    const urls: string[] = [];
    const settings = { jwtSecret: undefined, oauthIssuer: issuer, oauthAudience: audience };
    const verifier = createTokens(settings, {
      ...clock,
      fetch: (url, init) => {
        urls.push(url);
        return fetch(url.replace('node.example.org', new URL(issuer).host), init);
      },
    });
    await expect(verifier.verify(await sign())).rejects.toMatchObject({ code: 'token-unverifiable' });
    expect(urls).toEqual([`${issuer}/.well-known/openid-configuration`]);
  });

  test('away: what was fetched goes on for a day, then and before that tokens are unverifiable', async () => {
    const verifier = tokens();
    status = 503;
    const away = { code: 'token-unverifiable' };
    await expect(verifier.verify(await sign())).rejects.toMatchObject(away);
    await expect(verifier.verify(await sign())).rejects.toMatchObject(away);
    expect(asked).toHaveLength(1);
    status = 200;
    now += 5000;
    await verifier.verify(await sign());
    status = 503;
    now += 23 * HOUR * 1000;
    await verifier.verify(await sign());
    await expect(verifier.verify(await sign({}, 'two'))).rejects.toMatchObject(away);
    now += HOUR * 1000 + 1;
    await expect(verifier.verify(await sign())).rejects.toMatchObject(away);
    status = 200;
    now += 5000;
    await verifier.verify(await sign());
  });

  test.each([
    [
      'redirects',
      () => {
        moved = '/jwks';
        answers['/elsewhere'] = answers['/jwks'];
      },
    ],
    [
      'its discovery document names another issuer',
      () =>
        (answers['/.well-known/openid-configuration'] = {
          issuer: 'https://x.example',
          jwks_uri: `${issuer}/jwks`,
        }),
    ],
    ['answers without end', () => (answers['/jwks'] = { keys: [], more: 'x'.repeat(300_000) })],
    ['answers something else', () => (answers['/jwks'] = ['no', 'keys'])],
  ])('that %s is not believed', async (_, spoil) => {
    spoil();
    await expect(tokens().verify(await sign())).rejects.toMatchObject({ code: 'token-unverifiable' });
  });

  test('needs an audience, and https outside loopback', () => {
    const invalid = { code: 'settings-invalid' };
    const base = { jwtSecret: undefined };
    expect(() => createTokens({ ...base, oauthIssuer: issuer, oauthAudience: undefined }, clock)).toThrow(
      expect.objectContaining(invalid),
    );
    const plain = { ...base, oauthIssuer: 'http://login.example.org', oauthAudience: audience };
    expect(() => createTokens(plain, clock)).toThrow(expect.objectContaining(invalid));
    createTokens({ ...plain, oauthIssuer: 'https://login.example.org' }, clock);
  });
});
