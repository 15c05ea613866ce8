import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { agrinet } from '../support/cli.ts';
import { startDaemon } from '../support/daemon.ts';
import { tempDir } from '../support/temp-dir.ts';

const HOOK = new URL('../support/loaded-modules.mjs', import.meta.url).href;

let dir: ReturnType<typeof tempDir>;
let env: { NODE_OPTIONS: string; LOADED_MODULES: string };
beforeEach(() => {
  dir = tempDir('loaded');
  env = { NODE_OPTIONS: `--import=${HOOK}`, LOADED_MODULES: join(dir.path, 'modules') };
});
afterEach(() => dir.remove());

/** Packages of an idle daemon: libp2p, LevelDB, hono, zod, pino, prom-client's counters, and what these stand on. */
const OF_AN_IDLE_DAEMON = `
  @asteasolutions/zod-to-openapi @chainsafe/as-chacha20poly1305 @chainsafe/as-sha256 @chainsafe/is-ip
  @chainsafe/libp2p-noise @chainsafe/netmask @hono/node-server @hono/zod-openapi @hono/zod-validator
  @ipld/dag-cbor @libp2p/crypto @libp2p/gossipsub @libp2p/identify @libp2p/interface @libp2p/kad-dht
  @libp2p/logger @libp2p/multistream-select @libp2p/peer-collections @libp2p/peer-id @libp2p/peer-record
  @libp2p/peer-store @libp2p/ping @libp2p/record @libp2p/tcp @libp2p/utils @libp2p/yamux @multiformats/dns
  @multiformats/multiaddr @multiformats/multiaddr-matcher @noble/ciphers @noble/curves @noble/hashes
  @pinojs/redact @sindresorhus/fnv1a abort-error abstract-level any-signal atomic-sleep cborg
  classic-level commander datastore-core delay denque hashlru hono interface-datastore interface-store
  is-electron is-loopback-addr is-network-error it-all it-drain it-filter it-length it-length-prefixed
  it-map it-merge it-parallel it-peekable it-pipe it-pushable it-queue it-queueless-pushable it-sort
  it-take level-supports level-transcoder libp2p lru-cache main-event maybe-combine-errors module-error
  mortice ms multiformats netmask ngeohash node-gyp-build on-exit-leak-free p-defer p-event p-retry
  p-timeout pino pino-std-serializers progress-events prom-client protons-runtime quick-format-unescaped
  race-event race-signal random-int safe-stable-stringify sonic-boom supports-color thread-stream
  uint8-varint uint8arraylist uint8arrays unlimited-timeout weald wherearewe zod
`;

/** What a process has loaded: the packages, and how many modules there are of them and of this project. */
function loaded() {
  const files = readFileSync(env.LOADED_MODULES, 'utf8')
    .split('\n')
    .filter((url) => url.startsWith('file:'));
  const packages = new Set<string>();
  const own: string[] = [];
  for (const file of files) {
    const [, name] = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file) ?? [];
    if (name !== undefined) packages.add(name);
    else own.push(file.replace(/.*\/(?=(daemon|protocols|storage|api)\/)/, ''));
  }
  return { packages: [...packages].toSorted(), own, count: files.length };
}

// Each module costs a start half a millisecond. What a list or a bound here gains has to be worth that to every start.
describe('a process loads what it uses', () => {
  it('agrinet --version: nothing but the command line', async () => {
    await agrinet(undefined, ['--version'], env);
    const { packages, count } = loaded();
    expect(packages).toEqual(['commander']);
    expect(count).toBeLessThanOrEqual(20);
  });

  it('agrinet status: settings, the client and a table', async () => {
    await agrinet(undefined, ['status'], { ...env, BACKEND_URL: 'http://127.0.0.1:9' });
    const { packages, own, count } = loaded();
    expect(packages).toEqual([
      'ansi-regex',
      'chalk',
      'cli-table3',
      'commander',
      'emoji-regex',
      'hono',
      'is-fullwidth-code-point',
      'string-width',
      'strip-ansi',
      'zod',
    ]);
    expect(own.filter((file) => /^(storage|api)\//.test(file))).toEqual([]);
    expect(count).toBeLessThanOrEqual(152);
  });

  it('an idle daemon that is asked for its health: no route but that, no mirror, no merges, no doctor', async () => {
    const daemon = await startDaemon(join(dir.path, 'data'), env);
    expect((await daemon.request('GET', '/health')).status).toBe(200);
    expect(await daemon.stop()).toBe(0);
    const { packages, own, count } = loaded();
    expect(packages).toEqual(OF_AN_IDLE_DAEMON.trim().split(/\s+/));
    expect(own.filter((file) => file.startsWith('api/routes/')).toSorted()).toEqual([
      'api/routes/alarms.ts',
      'api/routes/node.ts',
    ]);
    const seldom = /^(daemon\/(doctor\/(checks|findings)|mirror)|storage\/backup)\//;
    expect(own.filter((file) => seldom.test(file)).toSorted()).toEqual([
      'daemon/mirror/mirror-port.ts',
      'daemon/mirror/open-outbox.ts',
    ]);
    // Users, notices and wants, the search index, the compact rows, the reading thread, the table and the protocol of attachments, and the
    // statements of checkpoints, where records begin, and what answers requests for snapshots are in every daemon: 84 modules.
    expect(count).toBeLessThanOrEqual(1285);
  });
});
