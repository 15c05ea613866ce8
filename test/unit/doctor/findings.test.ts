import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { noise } from '@chainsafe/libp2p-noise';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import { afterEach, describe, expect, it } from 'vitest';
import { loadOrCreatePepper } from '../../../daemon/access/key-pepper.ts';
import { type DiskSample, TREND_LIMITS } from '../../../daemon/doctor/disk-trend.ts';
import { examineOffline, examineOnline } from '../../../daemon/doctor/examine.ts';
import { type CheckId, CHECKS, type Finding, type Severity } from '../../../daemon/doctor/finding.ts';
import { gatherOffline } from '../../../daemon/doctor/offline-facts.ts';
import { loadOrCreateIdentity, readIdentity } from '../../../daemon/identity-file.ts';
import { lockIdentity } from '../../../daemon/lock.ts';
import { loadSettings } from '../../../daemon/settings.ts';
import { SETTINGS } from '../../../daemon/settings-table.ts';
import { encodeOp } from '../../../protocols/feed/op.ts';
import { identityFromSeed, type Identity } from '../../../protocols/wire/identity.ts';
import { datedCertificate, makeCertificate } from '../../support/certificates.ts';
import { agrinet } from '../../support/cli.ts';
import { plantDamage } from '../../support/damage.ts';
import { freePort, join as joinNodes, startDaemon } from '../../support/daemon.ts';
import { range } from '../../../storage/keyspace.ts';
import { factsOf } from '../../support/examined.ts';
import { Hand, listingOps } from '../../support/forge.ts';
import { befriend, registerHere, startNode, type TestNode } from '../../support/in-process-node.ts';
import { smallDisk, smallDiskLacking } from '../../support/small-disk.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { waitFor } from '../../support/wait.ts';

/** One way in which something is wrong, done for real, and what the doctor says of it. */
interface Provocation {
  readonly name: string;
  readonly severity: Severity;
  readonly message: RegExp;
  /** Why it cannot be done here. */
  readonly lacking?: string | undefined;
  readonly provoke: () => Promise<readonly Finding[]>;
  /** Does what the finding says; then it is gone. */
  readonly mended?: (finding: Finding) => Promise<readonly Finding[]>;
}

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).toReversed()) await step();
});
function folder(): string {
  const dir = tempDir('doctor');
  undo.push(() => dir.remove());
  return dir.path;
}
async function node(
  env: Record<string, string> = {},
  identity?: Identity,
  dir = folder(),
): Promise<TestNode> {
  const started = await startNode(dir, { RATE_LIMIT: 'off', ...env }, identity);
  undo.push(() => started.stop());
  return started;
}
const someone = (): Identity => identityFromSeed(new Uint8Array(randomBytes(32)));
const MINUTE = 60_000;

async function offline(
  env: Record<string, string>,
  samples: readonly DiskSample[] = [],
): Promise<readonly Finding[]> {
  const settings = loadSettings({ DATA_DIR: folder(), ...env });
  const running = samples.length === 0 ? {} : { running: { samples, refusal: undefined } };
  return examineOffline(await gatherOffline({ settings, env, now: Date.now(), ...running }));
}
const online = async (of: TestNode, laterMs = 0): Promise<readonly Finding[]> =>
  examineOnline(await factsOf(of, laterMs));

/** A folder as a node leaves it, with its identity and pepper. */
async function livedIn(): Promise<string> {
  process.umask(0o077);
  const dir = folder();
  await loadOrCreateIdentity(dir);
  await loadOrCreatePepper(dir, false);
  mkdirSync(join(dir, 'db'));
  writeFileSync(join(dir, 'db', 'CURRENT'), '');
  writeFileSync(join(dir, 'initialized'), '');
  return dir;
}
/** Files of a certificate. */
function certificateFiles({ cert, key }: { cert: string; key: string }): Record<string, string> {
  const dir = folder();
  writeFileSync(join(dir, 'tls.crt'), cert);
  writeFileSync(join(dir, 'tls.key'), key, { mode: 0o600 });
  return { TLS_CERT_FILE: join(dir, 'tls.crt'), TLS_KEY_FILE: join(dir, 'tls.key') };
}
let waitingNode: TestNode | undefined;
const GOOD_KEY = 'Vw3kqz0Pm8uTn5Xc7Rb2Ld9Yg4Hs6Jf1';

/** A node of jobs that wait for workers: nobody is at its Redis. */
async function withoutRedis(): Promise<TestNode> {
  return node({ REDIS_URL: `redis://127.0.0.1:${await freePort()}` });
}
async function syncJob(of: TestNode): Promise<string> {
  const { peerId } = someone();
  await registerHere(of, peerId, { nodeUrl: `http://127.0.0.1:${await freePort()}` });
  return (await of.context.jobs.enqueueSync(peerId)).id;
}
/** A registered author whose entries are brought to a node by hand. */
async function author(of: TestNode): Promise<Identity> {
  const identity = someone();
  await registerHere(of, identity.peerId);
  return identity;
}
/** Ops that nobody understands, of an author of this node's. */
async function floodedBy(of: TestNode, count: number, bytes: number): Promise<void> {
  const hand = new Hand(await author(of), epoch());
  for (let n = 0; n < count; n++) {
    const op = encodeOp({ v: 1, c: 'zzz', k: '', t: 'fact', d: new Uint8Array(randomBytes(bytes)) });
    expect(await of.node.ledger.receive([hand.next([op]).bytes])).toMatchObject([{ kind: 'accept' }]);
  }
}
const epoch = (): string => randomBytes(8).toString('hex');

const PROVOCATIONS: Readonly<Record<CheckId, readonly Provocation[]>> = {
  daemon: [
    {
      name: 'nobody answers',
      severity: 'error',
      message: /No daemon answers/,
      async provoke() {
        const env = { BACKEND_URL: `http://127.0.0.1:${await freePort()}`, DATA_DIR: await livedIn() };
        const { code, stdout } = await agrinet(undefined, ['doctor', '--json'], env);
        expect(code).toBe(73);
        return (JSON.parse(stdout) as { findings: Finding[] }).findings;
      },
    },
  ],
  settings: [
    {
      name: 'a name that is mistyped',
      severity: 'warning',
      message: /MYCELIUM_PROT: no such setting and ignored/,
      provoke: () => offline({ MYCELIUM_PROT: '7001' }),
    },
    ...['TLS_CERT', 'TLS_KEY', 'OAUTH_SECRET', 'MYCELIUM_FOO', 'FEDERATION_WEBHOOK'].map((name) => ({
      name: `a made-up name of one of our families: ${name}`,
      severity: 'warning' as const,
      message: new RegExp(`${name}: no such setting and ignored`),
      provoke: () => offline({ [name]: '/a/value' }),
      mended: async ({ mend }: Finding) => {
        expect(mend).toMatch(name.startsWith('TLS') ? new RegExp(`^${name}_FILE=`) : /^(unset |\w+=)/);
        return offline({});
      },
    })),
    {
      name: 'a value that is wrong',
      severity: 'error',
      message: /PORT: "x" is not a whole number/,
      async provoke() {
        const { code, stdout } = await agrinet(undefined, ['doctor', '--json'], { PORT: 'x' });
        expect(code).toBe(81);
        return (JSON.parse(stdout) as { findings: Finding[] }).findings;
      },
    },
  ],
  secrets: [
    {
      name: 'on loopback',
      severity: 'info',
      message: /API_KEY: it is shorter/,
      provoke: () => offline({ API_KEY: 'password1' }),
    },
    {
      name: 'where others reach it',
      severity: 'error',
      message: /JWT_SECRET: it is made of well-known words/,
      provoke: () =>
        offline({ HOST: '0.0.0.0', JWT_SECRET: 'your-jwt-secret-change-me-please', API_KEY: GOOD_KEY }),
      mended: () => offline({ HOST: '0.0.0.0', JWT_SECRET: GOOD_KEY }),
    },
  ],
  exposure: [
    {
      name: 'open without TLS',
      severity: 'warning',
      message: /open to others without TLS/,
      provoke: () => offline({ HOST: '0.0.0.0', PUBLIC_URL: 'https://node.example.org' }),
      mended: () =>
        offline({
          HOST: '0.0.0.0',
          PUBLIC_URL: 'https://127.0.0.1',
          ...certificateFiles(datedCertificate('127.0.0.1', '20200101', '20900101')),
        }),
    },
    {
      name: 'open without a URL',
      severity: 'warning',
      message: /told no URL/,
      provoke: () => offline({ HOST: '0.0.0.0' }),
    },
    {
      name: 'without a limit on requests',
      severity: 'warning',
      message: /without a limit on requests/,
      provoke: () => offline({ PUBLIC_URL: 'https://node.example.org', RATE_LIMIT: 'off' }),
    },
  ],
  files: [
    {
      name: 'an identity that others can read',
      severity: 'error',
      message: /identity\.json can be read or changed by others \(mode 644\)/,
      async provoke() {
        const dir = await livedIn();
        chmodSync(join(dir, 'identity.json'), 0o644);
        return offline({ DATA_DIR: dir, API_KEY: GOOD_KEY });
      },
      async mended({ mend, subject = '' }) {
        execFileSync('sh', ['-c', mend]);
        return offline({ DATA_DIR: join(subject, '..'), API_KEY: GOOD_KEY });
      },
    },
    {
      name: 'a pepper that is gone',
      severity: 'error',
      message: /key-pepper is gone/,
      async provoke() {
        const dir = await livedIn();
        rmSync(join(dir, 'key-pepper'));
        return offline({ DATA_DIR: dir });
      },
    },
    {
      name: 'an API key that is not there',
      severity: 'info',
      message: /api-key is not there/,
      provoke: async () => offline({ DATA_DIR: await livedIn() }),
      mended: async ({ subject = '' }) => offline({ DATA_DIR: join(subject, '..'), API_KEY: GOOD_KEY }),
    },
    {
      name: 'a folder that others can write to',
      severity: 'warning',
      message: /others can read or change .*agrinet-doctor-\w+, .*db\/CURRENT: private messages/,
      async provoke() {
        const dir = await livedIn();
        execFileSync('sh', ['-c', `cd ${dir}; chmod 777 . db; chmod 644 db/CURRENT initialized`]);
        return offline({ DATA_DIR: dir, API_KEY: GOOD_KEY });
      },
      async mended({ mend, subject = '' }) {
        execFileSync('sh', ['-c', mend]);
        return offline({ DATA_DIR: subject, API_KEY: GOOD_KEY });
      },
    },
  ],
  database: [
    {
      name: 'gone',
      severity: 'error',
      message: /db is gone although this node was initialised/,
      async provoke() {
        const dir = await livedIn();
        rmSync(join(dir, 'db'), { recursive: true });
        return offline({ DATA_DIR: dir });
      },
    },
    {
      name: 'another process has the identity',
      severity: 'error',
      message: /Process \d+ already runs as/,
      lacking: process.platform === 'linux' ? undefined : 'the lock is of Linux',
      async provoke() {
        const dir = await livedIn();
        const identity = await readIdentity(dir);
        const lock = await lockIdentity(identity?.peerId ?? '');
        undo.push(() => lock.release());
        return offline({ DATA_DIR: dir });
      },
    },
    {
      name: 'it fails while the node runs',
      severity: 'error',
      message: /writing is refused \(storage-failed\)/,
      async provoke() {
        // So little is free for opening it again that it stays so.
        const of = await node();
        await of.node.db.level.close();
        await of.node.db.batch([], true).catch(() => undefined);
        await of.request('POST', '/listings', { type: 'offer', title: 'Maize' });
        return waitFor('the refusal', async () => {
          const refusal = of.context.trouble();
          if (refusal === undefined) return undefined;
          const { settings } = of.node;
          const running = { samples: [], refusal };
          return examineOffline(await gatherOffline({ settings, env: {}, now: Date.now(), running }));
        });
      },
    },
    {
      name: 'a copy from before a repair',
      severity: 'info',
      message: /copy from before a repair/,
      async provoke() {
        const dir = await livedIn();
        mkdirSync(join(dir, 'db.damaged'));
        return offline({ DATA_DIR: dir });
      },
    },
  ],
  disk: [
    {
      name: 'below the reserve',
      severity: 'error',
      message: /shall stay so: writes are refused/,
      provoke: () => offline({ DISK_RESERVE_MB: '1000000' }),
    },
    {
      name: 'a small disk that fills',
      severity: 'warning',
      message: /\d+ MiB are free; below 8 writes are refused/,
      lacking: smallDiskLacking(),
      provoke() {
        const disk = smallDisk(32);
        undo.push(() => disk.remove());
        disk.fill(12 * 1024 * 1024);
        return offline({ DATA_DIR: disk.path, DISK_RESERVE_MB: '8' });
      },
    },
    {
      name: 'a pace at which it will not last',
      severity: 'warning',
      message: /at the pace of the last day writes are refused in \d\.\d days/,
      provoke() {
        const now = Date.now();
        const samples = Array.from({ length: TREND_LIMITS.samples }, (_, i) => ({
          at: now - (TREND_LIMITS.samples - i) * TREND_LIMITS.everyMs,
          freeBytes: 2e9 - i * 3e6,
        }));
        return offline({ DISK_RESERVE_MB: '64' }, samples);
      },
    },
  ],
  tls: [
    {
      name: 'expired',
      severity: 'error',
      message: /expired on 2020-02-01/,
      provoke: () => offline(certificateFiles(datedCertificate('127.0.0.1', '20200101', '20200201'))),
    },
    {
      name: 'about to expire',
      severity: 'warning',
      message: /expires on \d{4}-\d\d-\d\d, in [01] days/,
      provoke: () => offline(certificateFiles(makeCertificate())),
    },
    {
      name: 'not valid yet',
      severity: 'error',
      message: /valid only from 2090-01-01/,
      provoke: () => offline(certificateFiles(datedCertificate('127.0.0.1', '20900101', '20910101'))),
    },
    {
      name: 'made for another host than PUBLIC_URL',
      severity: 'warning',
      message: /not made for node\.example\.org/,
      provoke: () =>
        offline({
          ...certificateFiles(datedCertificate('other.example.org', '20200101', '20900101')),
          PUBLIC_URL: 'https://node.example.org',
        }),
    },
    {
      name: 'no certificate at all',
      severity: 'error',
      message: /cannot be read as PEM/,
      provoke: () => offline({ TLS_CERT_FILE: '/dev/null' }),
    },
  ],
  clock: [
    ...(
      [
        ['this clock cannot be right', /reads 1970-01-01T/, { credible: false, wall: 60_000 }],
        ['it was set forward', /was set 10800\.0 s ahead/, { doubtedMs: 3 * 60 * MINUTE }],
        [
          'the newest own entry is ahead of it',
          /newest own entry is dated/,
          { newestOwn: Date.now() + 3e11 },
        ],
      ] as const
    ).map(([name, message, own]) => ({
      name,
      severity: 'warning' as const,
      message,
      provoke: async () => {
        const facts = await factsOf(await node());
        return examineOnline({ ...facts, ownClock: { ...facts.ownClock, ...own } });
      },
      mended: async () => online(await node()),
    })),
    {
      name: 'a peer whose clock is ten minutes ahead',
      severity: 'error',
      message: /the clock of .* is (599|600|601)\.\d s ahead of this one \(± \d+\.\d s\)/,
      async provoke() {
        const [hereDir, thereDir] = [folder(), folder()];
        const here = await startDaemon(hereDir);
        undo.push(() => here.stop());
        let there = await startDaemon(thereDir);
        undo.push(() => there.stop());
        await joinNodes(here, there);
        await there.stop();
        const ahead = `const now = Date.now; Date.now = () => now() + ${10 * MINUTE};`;
        there = await startDaemon(thereDir, {
          PORT: new URL(there.url).port,
          NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(ahead)}`,
        });
        return (await here.json<{ findings: Finding[] }>('GET', '/doctor')).findings;
      },
    },
  ],
  dht: [
    {
      name: 'a connected peer that speaks no DHT',
      severity: 'warning',
      message: /DHT table is empty although 1 peers are connected/,
      async provoke() {
        const of = await node();
        const deaf = await createLibp2p({
          transports: [tcp()],
          connectionEncrypters: [noise()],
          streamMuxers: [yamux()],
        });
        undo.push(() => deaf.stop());
        await deaf.dial(of.addresses.map((address) => multiaddr(address)));
        await waitFor('the connection', () => of.node.host.libp2p.getPeers().length === 1);
        expect(await online(of)).toEqual(
          expect.not.arrayContaining([expect.objectContaining({ check: 'dht' })]),
        );
        return online(of, 2 * MINUTE);
      },
    },
  ],
  peers: [
    {
      name: 'a node that is not there',
      severity: 'warning',
      message: /cannot be reached \(not connected\); silent since 20\d\d-.*; never synced with it/,
      async provoke() {
        const of = await node();
        await registerHere(of, someone().peerId);
        return online(of, 2 * MINUTE);
      },
    },
  ],
  registrations: [
    {
      name: 'suspended',
      severity: 'info',
      message: /is suspended/,
      async provoke() {
        const of = await node();
        const { peerId } = await author(of);
        await of.node.registry.setStatus(peerId, 'suspended');
        return online(of);
      },
    },
    {
      name: 'pending',
      severity: 'info',
      message: /waits for your word/,
      async provoke() {
        const of = await node();
        const { peerId } = await author(of);
        await of.node.registry.setStatus(peerId, 'pending');
        return online(of);
      },
    },
  ],
  schema: [
    {
      name: 'a node of a newer schema',
      severity: 'warning',
      message: /has schema version 99, this node \d+/,
      async provoke() {
        const of = await node();
        await registerHere(of, someone().peerId, { schemaVersion: 99 });
        return online(of);
      },
    },
    {
      name: 'an op of a newer version',
      severity: 'warning',
      message: /1 ops of a newer schema wait for an upgrade/,
      async provoke() {
        const of = await node();
        const hand = new Hand(await author(of), epoch());
        const op = { v: 2, c: 'listings', k: `${hand.identity.peerId}/x`, t: 'delta', d: new Uint8Array(4) };
        await of.node.ledger.receive([hand.next([encodeOp(op)]).bytes]);
        return online(of);
      },
    },
  ],
  quotas: [
    {
      name: 'a node whose ops wait, by their bytes',
      severity: 'warning',
      message: /takes up \d+ of 1 MiB.*in 3 ops that wait: beyond its quota nothing more of it is taken/,
      async provoke() {
        waitingNode = await node({ AUTHOR_QUOTA_MB: '1' });
        await floodedBy(waitingNode, 3, 50_000);
        return online(waitingNode);
      },
      async mended({ mend }) {
        const of = waitingNode ?? (await node());
        const [, id, quota] = /^agrinet nodes set (\S+) --quota-mb (\d+)$/.exec(mend) ?? [];
        await of.request('POST', `/federation/nodes/${id}/quota`, { quotaMb: Number(quota) });
        return online(of);
      },
    },
    {
      name: 'a node whose ops wait, by their number',
      severity: 'warning',
      message: /in 2 ops that wait/,
      async provoke() {
        const of = await node({ AUTHOR_QUOTA_PENDING: '2' });
        await floodedBy(of, 2, 10);
        return online(of);
      },
    },
  ],
  gaps: [
    {
      name: 'an author names a feed that nobody has',
      severity: 'warning',
      message: /names 1 earlier feeds of its own/,
      async provoke() {
        const of = await node();
        const hand = new Hand(await author(of), epoch());
        const after = [{ epoch: epoch(), seq: 5, hash: '1'.repeat(64) }];
        const entry = hand.sign(listingOps(hand.pen, 'maize', undefined, { title: 'Maize' }), { after });
        expect(await of.node.ledger.receive([entry.bytes])).toMatchObject([{ kind: 'accept' }]);
        return online(of, 5 * MINUTE);
      },
    },
    {
      name: 'a peer shows what cannot be taken in',
      severity: 'warning',
      message: /shows \d+ entries that are lacking here/,
      async provoke() {
        const of = await node({ DISK_RESERVE_MB: '1000000' });
        const peer = await node();
        for (let i = 0; i < 3; i++)
          await peer.request('POST', '/listings', { type: 'offer', title: `Maize ${i}` });
        await befriend(of, peer);
        await waitFor('the frontier of the peer', () => of.node.mycelium.frontiers().has(peer.peerId));
        return online(of, 5 * MINUTE);
      },
    },
  ],
  digests: [
    {
      name: 'a peer whose records are damaged',
      severity: 'error',
      message: /has the same entries of .* and another state of its records/,
      async provoke() {
        const of = await node();
        const dir = folder();
        const identity = someone();
        let peer = await startNode(dir, {}, identity);
        await befriend(of, peer);
        await of.request('PUT', '/listings/maize', { type: 'offer', title: 'Maize' });
        const id = `${of.peerId}.maize`;
        const there = peer;
        await waitFor('the listing', async () => (await there.request('GET', `/listings/${id}`)).ok);
        await peer.stop();
        await plantDamage(dir, 'listings', [0]);
        peer = await node({}, identity, dir);
        await befriend(of, peer);
        return waitFor(
          'the finding',
          async () => {
            const found = await online(of);
            return found.some(({ check }) => check === 'digests') ? found : undefined;
          },
          30_000,
        );
      },
    },
  ],
  forks: [
    {
      name: 'a node that signed two histories',
      severity: 'warning',
      message: /has signed two histories/,
      async provoke() {
        const of = await node();
        const hand = new Hand(await author(of), epoch());
        const entries = ['one', 'two'].map((title) =>
          hand.sign(listingOps(hand.pen, 'maize', undefined, { title })),
        );
        await of.node.ledger.receive(entries.map(({ bytes }) => bytes));
        return online(of);
      },
    },
    {
      name: 'somebody else signs with this node’s key',
      severity: 'error',
      message: /somebody else has signed with this node's key/,
      async provoke() {
        const identity = someone();
        const of = await node({}, identity);
        const hand = new Hand(identity, epoch());
        const entries = ['one', 'two'].map((title) =>
          hand.sign(listingOps(hand.pen, 'maize', undefined, { title })),
        );
        await of.node.ledger.receive(entries.map(({ bytes }) => bytes));
        return online(of);
      },
    },
  ],
  quarantine: [
    {
      name: 'an op on somebody else’s record',
      severity: 'info',
      message: /1 op is void/,
      async provoke() {
        const of = await node();
        const hand = new Hand(await author(of), epoch());
        const foreign = listingOps({ ...hand.pen, author: of.node.identity.peerId }, 'maize', undefined, {
          title: 'Mine',
        });
        await of.node.ledger.receive([hand.next(foreign).bytes]);
        return online(of);
      },
    },
    {
      name: 'ops that wait for what has not come, for long',
      severity: 'warning',
      message: /wait.* the oldest of 20\d\d-/,
      async provoke() {
        const of = await node();
        const hand = new Hand(await author(of), epoch());
        const other = new Hand(hand.identity, epoch());
        // The second edit follows a first one that is not brought along.
        const elsewhere = await node();
        await registerHere(elsewhere, hand.identity.peerId);
        const first = hand.next(listingOps(hand.pen, 'maize', undefined, { title: 'one' }));
        await elsewhere.node.ledger.receive([first.bytes]);
        const key = `listings/${hand.identity.peerId}/maize`;
        const [known] = await elsewhere.node.store.records([key as never]);
        const second = other.next(listingOps(other.pen, 'maize', known, { title: 'two' }));
        await of.node.ledger.receive([second.bytes]);
        return online(of);
      },
    },
  ],
  conflicts: [
    {
      name: 'two epochs change one field at once',
      severity: 'warning',
      message: /1 record has fields that two writers changed at once/,
      async provoke() {
        const of = await node();
        const identity = await author(of);
        for (const title of ['White maize', 'Yellow maize']) {
          const hand = new Hand(identity, epoch());
          await of.node.ledger.receive([
            hand.next(listingOps(hand.pen, 'maize', undefined, { title })).bytes,
          ]);
        }
        return online(of);
      },
    },
  ],
  alarms: [
    {
      name: 'entries of this node’s own that it does not know',
      severity: 'warning',
      message: /A peer gave back entries of this node/,
      async provoke() {
        const identity = someone();
        const of = await node({}, identity);
        const hand = new Hand(identity, epoch());
        const entry = hand.next(listingOps(hand.pen, 'maize', undefined, { title: 'Maize' }));
        await of.node.ledger.receive([entry.bytes]);
        return online(of);
      },
    },
  ],
  jobs: [
    {
      name: 'a dead job',
      severity: 'warning',
      message: /1 job is dead; the newest: nobody answers/,
      async provoke() {
        const of = await withoutRedis();
        const id = await syncJob(of);
        const { attempt } = await of.context.jobs.attempts.claim(id);
        await of.context.jobs.attempts.fail(id, attempt, {
          code: 'peer-unreachable',
          message: 'nobody answers',
          final: true,
        });
        const found = await online(of);
        const dead = found.find(({ subject }) => subject === id);
        expect(dead?.mend).toBe(`agrinet jobs retry ${id}`);
        await of.context.jobs.retry(id);
        expect((await online(of)).filter(({ check }) => check === 'jobs')).toEqual([]);
        return found;
      },
    },
    {
      name: 'a queue that stands still',
      severity: 'warning',
      message: /1 jobs wait .*, the oldest since/,
      async provoke() {
        const of = await withoutRedis();
        await syncJob(of);
        return online(of, 20 * MINUTE);
      },
    },
  ],
  redis: [
    {
      name: 'nobody is at REDIS_URL',
      severity: 'warning',
      message: /Redis is away since/,
      async provoke() {
        const of = await withoutRedis();
        await waitFor('Redis to be missed', () => !of.context.jobs.health().ok);
        return online(of);
      },
    },
  ],
  mirror: [
    {
      name: 'in trouble, behind, and with items that do not fit',
      severity: 'warning',
      message: /1200 items wait for the mirror’s tables, the oldest since 900 s/,
      async provoke() {
        const mirror = {
          state: 'retrying',
          detail: 'DynamoDB does not answer',
          pending: 1200,
          lagSeconds: 900,
          inFlight: 32,
          refused: 2,
        };
        const found = examineOnline({ ...(await factsOf(await node())), mirror });
        expect(found.filter(({ check }) => check === 'mirror').map(({ message }) => message)).toEqual([
          'the mirror is retrying: DynamoDB does not answer',
          expect.any(String),
          '2 items are refused by the mirror’s tables',
        ]);
        const well = { state: 'running', pending: 3, lagSeconds: 1, inFlight: 3, refused: 0 };
        const healthy = examineOnline({ ...(await factsOf(await node())), mirror: well });
        expect(healthy.filter(({ check }) => check === 'mirror')).toEqual([]);
        return found;
      },
    },
  ],
  scrub: [
    {
      name: 'a row of a derived table is gone',
      severity: 'warning',
      message:
        /stored rows were not what the feeds say: 1 in records.* in the scrub of .*; all were made anew/,
      async provoke() {
        const of = await node();
        const created = await of.request('POST', '/listings', { type: 'offer', title: 'lost' });
        const { listingId } = (await created.json()) as { listingId: string };
        for await (const key of of.node.db.level.keys(range('records', 'listings/')))
          await of.node.db.level.del(key);
        expect((await of.request('GET', `/listings/${listingId}`)).status).toBe(404);
        await (await of.request('POST', '/scrub')).text();
        expect((await of.request('GET', `/listings/${listingId}`)).status).toBe(200);
        waitingNode = of;
        return online(of);
      },
      async mended({ mend }) {
        expect(mend).toBe('agrinet scrub');
        const of = waitingNode ?? (await node());
        await (await of.request('POST', '/scrub')).text();
        return online(of);
      },
    },
    {
      name: 'an entry cannot be read',
      severity: 'error',
      message: /\d+ could not be made anew, because entries cannot be read/,
      async provoke() {
        const of = await node();
        await of.request('POST', '/listings', { type: 'offer', title: 'lost' });
        for await (const key of of.node.db.level.keys(range('records', 'listings/')))
          await of.node.db.level.del(key);
        for await (const [key, value] of of.node.db.level.iterator(range('entries')))
          await of.node.db.level.put(
            key,
            Uint8Array.from(value, (byte, i) => (i === 40 ? byte ^ 1 : byte)),
          );
        await (await of.request('POST', '/scrub')).text();
        return online(of);
      },
    },
  ],
  rejoin: [
    {
      name: 'a peer has not answered after a loss',
      severity: 'warning',
      message: /promises wait until every active peer has answered \(restored\): 0 have, 12D3KooW\w+ has not/,
      async provoke() {
        const of = await node();
        await registerHere(of, someone().peerId);
        expect((await online(of)).filter(({ check }) => check === 'rejoin')).toEqual([]);
        of.node.rejoin.lost('restored');
        waitingNode = of;
        return online(of);
      },
      async mended({ mend }) {
        expect(mend).toBe('agrinet rejoin --force');
        const of = waitingNode ?? (await node());
        await of.request('POST', '/rejoin/force');
        return online(of);
      },
    },
  ],
};

const CASES = Object.entries(PROVOCATIONS).flatMap(([check, all]) => all.map((each) => ({ check, ...each })));
const mends = new Set<string>();

describe('every finding is provoked', () => {
  it('each check has one that does', () => {
    const provoked = CASES.filter(({ lacking }) => lacking === undefined).map(({ check }) => check);
    expect([...new Set(provoked)].sort()).toEqual(Object.keys(CHECKS).sort());
  });

  for (const { check, name, severity, message, lacking, provoke, mended } of CASES)
    it.skipIf(lacking !== undefined)(
      `${check}: ${name}${lacking === undefined ? '' : ` (${lacking})`}`,
      async () => {
        const all = await provoke();
        const found = all.find((each) => each.check === check && message.test(each.message));
        expect(found, JSON.stringify(all, null, 1)).toMatchObject({ check, severity });
        if (found === undefined) return;
        for (const each of all) mends.add(each.mend);
        expect(found.message).not.toMatch(/[\p{Cc}\p{Cf}]/u);
        if (mended === undefined) return;
        expect((await mended(found)).filter((each) => each.check === check)).toEqual([]);
      },
    );

  it('what mends them exists', async () => {
    const commands = [...mends].filter((mend) => mend.startsWith('agrinet '));
    const checked = new Set<string>();
    for (const mend of commands) {
      const words = /^agrinet((?: [a-z]+(?= |$))+)/.exec(mend)?.[1]?.trim().split(' ') ?? [];
      const command = words.join(' ');
      if (checked.has(command)) continue;
      checked.add(command);
      const { code, stdout } = await agrinet(undefined, [...words, '--help']);
      expect([mend, code, stdout]).toEqual([mend, 0, expect.stringContaining(`Usage: agrinet ${command} `)]);
    }
    expect(checked.size).toBeGreaterThan(5);
    // These refuse to run beside the daemon that the finding may be about.
    for (const mend of commands.filter((each) => /^agrinet (fsck|rebuild|restore)/.test(each)))
      expect(mend).toMatch(/while the daemon is stopped/);
    const names: ReadonlySet<string> = new Set(Object.values(SETTINGS).map(({ env }) => env));
    const other = [...mends].filter((mend) => !mend.startsWith('agrinet '));
    for (const mend of other) {
      const setting = /^([A-Z_]+)=/.exec(mend)?.[1];
      if (setting !== undefined) expect(names.has(setting), mend).toBe(true);
      else
        expect(mend).toMatch(
          /^(chmod ([67]00|-R go=) \/|df -h \/|rm -r \/|timedatectl |systemctl status |unset [A-Z_]+$|put \/.* back from a backup|renew \/|upgrade this agrinetd|a new identity)/,
        );
    }
  }, 120_000);
});
