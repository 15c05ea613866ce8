import { randomBytes } from 'node:crypto';
import { getRequestListener } from '@hono/node-server';
import { errorAnswer } from '../../api/errors.ts';
import type { Keys } from '../../api/ports/access.ts';
import type { RegistrationPort } from '../../api/ports/registration.ts';
import { router } from '../../api/route.ts';
import { registrationRoutes } from '../../api/routes/registration.ts';
import type { Scope } from '../../api/access.ts';
import type { Resolve } from '../../daemon/checked-lookup.ts';
import { openAccess } from '../../daemon/access/access.ts';
import { createGuardedFetch, type GuardedFetch } from '../../daemon/federation/guarded-fetch.ts';
import type { OwnAddress } from '../../daemon/federation/own-statement.ts';
import { createQuotas } from '../../daemon/quotas.ts';
import { createRegistration, type Registration } from '../../daemon/federation/registration.ts';
import { openSourceKeys } from '../../daemon/federation/source-keys.ts';
import { systemEnv } from '../../daemon/system-env.ts';
import { HttpNodes } from '../../protocols/registry/http-nodes.ts';
import { createNonces } from '../../protocols/registry/nonces.ts';
import { Registry } from '../../protocols/registry/registry.ts';
import { type Identity, identityFromSeed } from '../../protocols/wire/identity.ts';
import { Database } from '../../storage/database.ts';
import { httpNodeStore, nonceStore, registryStore } from '../../storage/tables.ts';
import type { Certificate } from './certificates.ts';
import { type LoopbackServer, serve } from './loopback-server.ts';
import { tempDir } from './temp-dir.ts';

/** The registration of one node over real sockets and a real database, without the rest of the daemon. */
export interface RegistrationNode {
  readonly identity: Identity;
  readonly url: string;
  readonly server: LoopbackServer;
  readonly registry: Registry;
  readonly httpNodes: HttpNodes;
  readonly registration: Registration;
  readonly port: RegistrationPort;
  readonly alarms: { kind: string; node: string }[];
  /** The keys that it issues; each is good for `request`. */
  readonly keys: Keys;
  /** What the node says of itself; tests change it. */
  readonly own: { -readonly [K in keyof OwnAddress]: OwnAddress[K] };
  /** With the operator's key, unless another is given; empty for none. */
  request(method: string, path: string, body?: unknown, key?: string): Promise<Response>;
  /** Closes and opens the database again, as a restart does. */
  restart(): Promise<RegistrationNode>;
  close(): Promise<void>;
}

export interface RegistrationNodeOptions {
  readonly tls?: Certificate;
  readonly allowLoopback?: boolean;
  readonly lookup?: Resolve;
  readonly now?: () => number;
}

/** The key of the operator, as a daemon has one. */
export const OPERATOR_KEY = 'operator-of-the-test';

const SCOPES: Readonly<Record<string, Scope>> = { operator: 'operator', register: 'register', read: 'read' };

export async function registrationNode(
  options: RegistrationNodeOptions = {},
  dir = tempDir('registration'),
  identity = identityFromSeed(randomBytes(32)),
): Promise<RegistrationNode> {
  const { tls, allowLoopback = true, lookup, now = Date.now } = options;
  const db = await Database.open(dir.path, systemEnv);
  const registry = await Registry.open(
    identity.peerId,
    registryStore(db, () => undefined),
    () => undefined,
  );
  const httpNodes = await HttpNodes.open(
    httpNodeStore(db, () => undefined),
    () => undefined,
  );
  const nonces = await createNonces(nonceStore(db));
  const policy = { allowPrivate: false, allowLoopback };
  const fetch: GuardedFetch = createGuardedFetch({
    env: systemEnv,
    ...policy,
    ...(lookup === undefined ? {} : { lookup }),
  });
  const control = await openAccess({
    db,
    settings: {
      dataDir: dir.path,
      publicReads: true,
      jwtSecret: undefined,
      oauthIssuer: undefined,
      oauthAudience: undefined,
    },
    apiKey: OPERATOR_KEY,
    logger: { info: () => undefined, warn: () => undefined, debug: () => undefined },
    refusal: () => undefined,
    env: systemEnv,
    clock: { cautious: now, wall: now, steady: now },
  });
  const alarms: { kind: string; node: string }[] = [];
  const own = {
    publicUrl: undefined,
    listening: '',
    region: 'Coast',
    name: 'test',
    multiaddrs: [],
    tlsFingerprint: tls?.fingerprint ?? '',
  } as RegistrationNode['own'];
  const registration = createRegistration({
    env: systemEnv,
    identity,
    network: 'test',
    registry,
    httpNodes,
    nonces,
    fetch,
    policy,
    own: () => own,
    contactEmail: 'ops@coast.example',
    peerStatus: async () => ({
      connected: false,
      lag: 0,
      notCompared: [],
      nextRetryAt: undefined,
      listings: 0,
      transactions: 0,
      users: 0,
    }),
    reach: { isReached: () => false, lastContactAt: () => undefined },
    syncStatus: () => Promise.resolve(undefined),
    legacyCounts: () => Promise.resolve({ listings: 0, transactions: 0, users: 0 }),
    revokeKeys: async (ids) => void (await control.keys.revokeAll(ids)),
    sourceKeys: await openSourceKeys(dir.path),
    alarm: (alarm) => alarms.push(alarm),
    log: () => undefined,
    now,
  });
  const app = router();
  app.onError((error, c) => {
    const { status, body } = errorAnswer(error);
    return c.json(body, status);
  });
  app.use(async (c, next) => {
    const apiKey = c.req.header('x-api-key') ?? '';
    const scope = SCOPES[apiKey];
    if (apiKey === OPERATOR_KEY || apiKey.startsWith('agk_'))
      c.set('principal', await control.access.authenticate({ apiKey }));
    else
      c.set('principal', {
        id: scope ?? 'anonymous',
        userId: scope ?? 'nobody',
        scopes: new Set([scope ?? 'read']),
      });
    await next();
  });
  app.route(
    '/federation',
    registrationRoutes({
      env: systemEnv,
      self: identity.peerId,
      reader: { get: () => Promise.resolve(undefined) },
      catalogue: { putProfile: () => Promise.reject(new Error('no catalogue here')) },
      registration: registration.port,
      forget: {
        check: () => {
          throw new Error('nothing to forget here');
        },
        look: () => Promise.reject(new Error('nothing to forget here')),
        run: () => Promise.reject(new Error('nothing to forget here')),
      },
      log: () => undefined,
      quotas: createQuotas({
        settings: { authorQuotaMb: 512, authorQuotaPending: 50_000 },
        registry,
        usage: { of: () => ({ bytes: 3 * 1024 * 1024, pending: 2, pendingBytes: 20 }) },
        onSet: () => undefined,
      }),
      fence: { set: () => Promise.reject(new Error('no fence here')), describe: () => 'off' },
      trust: {
        kept: () => Promise.resolve({ contracts: 0, kept: 0, counterparties: 0 }),
        reliability: () => ({
          syncs: 0,
          syncsFailed: 0,
          invalidEntries: 0,
          equivocations: 0,
          since: null,
          lastFailedAt: null,
          lastFailure: null,
        }),
      },
    }),
  );
  const listener = getRequestListener(app.fetch);
  const server = await serve((incoming, outgoing) => void listener(incoming, outgoing), tls ? { tls } : {});
  own.listening = server.url;
  const stop = async (): Promise<void> => {
    await server.close();
    await control.stop();
    await db.close();
  };
  return {
    identity,
    url: server.url,
    server,
    registry,
    httpNodes,
    registration,
    port: registration.port,
    alarms,
    keys: control.keys,
    own,
    request: async (method, path, body, key = 'operator') =>
      app.request(path, {
        method,
        headers: { 'x-api-key': key, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }),
    async restart() {
      await stop();
      return registrationNode(options, dir, identity);
    },
    async close() {
      await stop();
      dir.remove();
    },
  };
}
