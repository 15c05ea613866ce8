import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair } from 'jose';
import { type ClientMetadata, type Configuration, Provider } from 'oidc-provider';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { systemEnv } from '../../daemon/system-env.ts';
import { type AccessControl, openAccess } from '../../daemon/access/access.ts';
import { createLogger } from '../../daemon/logger.ts';
import { Database } from '../../storage/database.ts';
import { tempDir } from '../support/temp-dir.ts';

// A real OIDC server: discovery, JWKS and tokens are those of the npm package `oidc-provider`.

const dir = tempDir('oidc');
const AUDIENCE = 'urn:agrinet:node';
const OTHER = 'urn:another:service';
const CLIENT: ClientMetadata = {
  client_id: 'market-app',
  client_secret: 'the-secret-of-the-market-app',
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
  scope: 'read write worker',
};
type Algorithm = 'RS256' | 'PS256' | 'ES256';

let db: Database;
let server: Server;
let port = 0;
let issuer = '';
let provider: Provider | undefined;
let clock = 0;
let control: AccessControl;

/** An issuer with a new key of this kind, in the place of the one before. */
async function startIssuer(alg: Algorithm): Promise<void> {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  const configuration: Configuration = {
    clients: [CLIENT],
    jwks: { keys: [{ ...(await exportJWK(privateKey)), kid: `${alg}-${Date.now()}`, use: 'sig', alg }] },
    cookies: { keys: ['only a test signs cookies with this'] },
    clientDefaults: { id_token_signed_response_alg: alg },
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256'] },
    scopes: ['read', 'write', 'worker'],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource) => ({
          scope: 'read write worker',
          audience: resource,
          accessTokenTTL: 600,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg } },
        }),
      },
    },
  };
  provider = new Provider(issuer, configuration);
}

function listen(): Promise<void> {
  server = createServer((request, response) => void provider?.callback()(request, response));
  return new Promise((resolve) => {
    server.listen(port, '127.0.0.1', resolve);
  });
}

function stopListening(): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/** An access token by the client credentials grant (RFC 6749, 4.4) for one resource (RFC 8707). */
async function token(scope: string, resource = AUDIENCE): Promise<string> {
  const { client_id: id, client_secret: secret } = CLIENT;
  const response = await fetch(`${issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`${id}:${secret}`)}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope, resource }),
  });
  const answer: unknown = await response.json();
  expect(response.status, JSON.stringify(answer)).toBe(200);
  return z.looseObject({ access_token: z.string() }).parse(answer).access_token;
}

const authenticate = (bearer: string) => control.access.authenticate({ bearer });

beforeAll(async () => {
  await listen();
  ({ port } = server.address() as AddressInfo);
  issuer = `http://127.0.0.1:${port}`;
  await startIssuer('RS256');
  db = await Database.open(dir.path, systemEnv);
  clock = 0;
  control = await openAccess({
    db,
    settings: {
      dataDir: dir.path,
      publicReads: true,
      jwtSecret: 'a secret of tokens that the issuer does not know',
      oauthIssuer: issuer,
      oauthAudience: AUDIENCE,
    },
    apiKey: 'the-operators-own-key-of-this-test',
    logger: createLogger({ logLevel: 'silent' }),
    refusal: () => undefined,
    env: systemEnv,
    clock: {
      cautious: () => Date.now() + clock,
      wall: () => Date.now() + clock,
      steady: () => Date.now() + clock,
    },
  });
});
afterAll(async () => {
  await control.stop();
  await db.close();
  await stopListening();
  dir.remove();
});

test('a token of the issuer for this node is accepted, with the scopes it was granted', async () => {
  expect(await authenticate(await token('read worker'))).toEqual({
    id: 'token:market-app',
    userId: 'market-app',
    scopes: new Set(['read', 'worker']),
  });
});

test('a token that it made for another service, or that was changed, is not', async () => {
  const refused = { code: 'token-invalid' };
  await expect(authenticate(await token('read', OTHER))).rejects.toMatchObject(refused);
  const [header = '', payload = '', signature = ''] = (await token('read')).split('.');
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object;
  const raised = Buffer.from(JSON.stringify({ ...claims, scope: 'operator' })).toString('base64url');
  await expect(authenticate(`${header}.${raised}.${signature}`)).rejects.toMatchObject(refused);
});

test.each(['ES256', 'PS256', 'RS256'] as const)(
  'the issuer’s keys are replaced by %s ones: its new tokens are accepted, those of the old key are not',
  async (alg) => {
    const old = await token('read');
    await authenticate(old);
    await startIssuer(alg);
    clock += 30_000;
    expect(await authenticate(await token('write'))).toMatchObject({ userId: 'market-app' });
    await expect(authenticate(old)).rejects.toMatchObject({ code: 'token-invalid' });
  },
);

test('while the issuer is away its tokens go on, and keys and own tokens are untouched', async () => {
  const before = await token('write');
  await authenticate(before);
  const { key } = await control.keys.issue({ userId: 'amina' });
  await startIssuer('ES256');
  const unseen = await token('write');
  await stopListening();
  clock += 31_000;
  expect(await authenticate(before)).toMatchObject({ id: 'token:market-app' });
  await expect(authenticate(unseen)).rejects.toMatchObject({ code: 'token-unverifiable' });
  expect(await control.access.authenticate({ apiKey: key })).toMatchObject({ userId: 'amina' });
  await listen();
  clock += 5000;
  expect(await authenticate(unseen)).toMatchObject({ id: 'token:market-app' });
});
