import { systemEnv } from '../../daemon/system-env.ts';
import { randomBytes } from 'node:crypto';
import { createApp } from '../../api/app.ts';
import type { ApiContext } from '../../api/context.ts';
import { createLogger } from '../../daemon/logger.ts';
import { createNode, type Node } from '../../daemon/node.ts';
import type { RunningSnapshots } from '../../daemon/parts/snapshots.ts';
import type { Outside } from '../../daemon/outside.ts';
import { loadSettings } from '../../daemon/settings.ts';
import type { Entry } from '../../protocols/feed/entry.ts';
import { identityFromSeed, type Identity } from '../../protocols/wire/identity.ts';

/** A whole node in this process: real LevelDB, real libp2p on loopback, the API without a socket. */
export interface TestNode {
  readonly node: Node;
  readonly app: Awaited<ReturnType<typeof createApp>>;
  /** What stands behind the routes. */
  readonly context: ApiContext;
  /** Fetches snapshots of others. */
  readonly snapshots: RunningSnapshots;
  readonly peerId: string;
  readonly addresses: string[];
  /** A request with the node's key. */
  readonly request: (method: string, path: string, body?: unknown) => Promise<Response>;
  digest(): Promise<string>;
  stop(): Promise<void>;
}

export const TEST_KEY = 'test-key-of-a-node-in-this-process';

/** Names lead nowhere but here: no test asks a name server. */
const onlyThisMachine: NonNullable<Outside['lookup']> = (name, _, done) => {
  if (name === 'localhost') done(null, [{ address: '127.0.0.1', family: 4 }]);
  else done(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }), []);
};

/** Requests go to the app itself. */
const noSocket: Outside['serve'] = async () => ({ url: '', stop: async () => undefined });

/** Starts a node in a folder; `env` as the daemon would get it. */
export async function startNode(
  dataDir: string,
  env: Record<string, string> = {},
  identity: Identity = identityFromSeed(randomBytes(32)),
  outside: Partial<Pick<Outside, 'env' | 'mirrorLimits'>> = {},
): Promise<TestNode> {
  process.umask(0o077); // as the command line does
  const settings = loadSettings({
    DATA_DIR: dataDir,
    MYCELIUM_PORT: '0',
    MYCELIUM_NETWORK: 'test',
    LOG_LEVEL: 'silent',
    ...env,
  });
  const { node, context, snapshots, stop } = await createNode(
    {
      settings,
      identity,
      apiKey: { key: TEST_KEY, publish: async () => undefined },
      logger: createLogger(settings),
    },
    { lookup: onlyThisMachine, serve: noSocket, ...outside },
  );
  const app = await createApp(context);
  const request = async (method: string, path: string, body?: unknown): Promise<Response> =>
    app.request(path, {
      method,
      headers: {
        'x-api-key': TEST_KEY,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  return {
    node,
    app,
    context,
    snapshots,
    peerId: identity.peerId,
    addresses: node.host.libp2p.getMultiaddrs().map(String),
    request,
    digest: async () =>
      ((await (await request('GET', '/federation/digest')).json()) as { digest: string }).digest,
    stop,
  };
}

/** Registers two nodes of this process with one another, as their operators' `join` would. */
export async function befriend(a: TestNode, b: TestNode): Promise<void> {
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const) {
    await one.node.registry.register(
      {
        caller: other.node.identity.peerId,
        nodeUrl: '',
        region: other.node.settings.region,
        name: '',
        multiaddrs: other.addresses,
        schemaVersion: 1,
        tlsFingerprint: '',
      },
      undefined,
      Date.now(),
    );
  }
}

/** Registers somebody here who runs no node: what he signs is taken from whoever brings it. */
export async function registerHere(
  { node }: TestNode,
  caller: Identity['peerId'],
  about: { readonly schemaVersion?: number; readonly nodeUrl?: string } = {},
): Promise<void> {
  const { schemaVersion = 1, nodeUrl = '' } = about;
  const statement = { caller, nodeUrl, region: 'unspecified', name: '', multiaddrs: [], schemaVersion };
  await node.registry.register({ ...statement, tlsFingerprint: '' }, undefined, Date.now());
}

/** For the benchmarks: a listing is written when it is fsynced. */
export async function createBenchNode(dir: string): Promise<{
  writeListing(fields: Record<string, unknown>): Promise<void>;
  onEntries(listener: (entries: readonly Entry[]) => void): void;
  close(): Promise<void>;
}> {
  const { createCatalogue } = await import('../../protocols/market/catalogue.ts');
  const started = await startNode(dir);
  const catalogue = createCatalogue(started.node.ledger, started.node.identity.peerId, systemEnv);
  return {
    writeListing: async (fields) => {
      await catalogue.createListing(fields);
    },
    onEntries: (listener) => started.node.hooks.committed.on('bench', ({ entries }) => listener(entries)),
    close: () => started.stop(),
  };
}
