import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { noise } from '@chainsafe/libp2p-noise';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import { expect } from 'vitest';
import { examineOnline } from '../../../../daemon/doctor/examine.ts';
import type { OnlineFacts } from '../../../../daemon/doctor/facts.ts';
import type { Finding } from '../../../../daemon/doctor/finding.ts';
import type { FindingId } from '../../../../daemon/doctor/findings.ts';
import { encodeOp } from '../../../../protocols/feed/op.ts';
import type { Registry } from '../../../../protocols/registry/registry.ts';
import type { PeerId } from '../../../../protocols/wire/identity.ts';
import { plantDamage } from '../../../support/damage.ts';
import { type Daemon, join as joinNodes, startDaemon, startDaemonHere } from '../../../support/daemon.ts';
import { factsOf } from '../../../support/examined.ts';
import { Hand, listingOps } from '../../../support/forge.ts';
import { befriend, registerHere, type TestNode } from '../../../support/in-process-node.ts';
import { waitFor } from '../../../support/wait.ts';
import {
  afterwards,
  author,
  epoch,
  folder,
  MINUTE,
  node,
  online,
  planted,
  restarted,
  run,
  setting,
  someone,
} from './bench.ts';
import type { CasesOf, FindingCase } from './case.ts';

const NTP = /^timedatectl set-ntp true/;

/** This clock as it is wrong; `timedatectl` would set this whole machine's, so the reading is what is put right. */
function ownClock(message: RegExp, wrong: Partial<OnlineFacts['ownClock']>): FindingCase {
  return planted(
    message,
    async () => {
      const facts = await factsOf(await node());
      return [examineOnline({ ...facts, ownClock: { ...facts.ownClock, ...wrong } }), facts];
    },
    async ({ remedy }, facts) => {
      expect(remedy).toMatch(NTP);
      return examineOnline(facts);
    },
  );
}

/** Readings of peers' clocks as the probe makes them; the case of a real one is `peer-clock-refused`. */
function clocks(message: RegExp, offsetMs: number, peers: number): FindingCase {
  return planted(
    message,
    async () => {
      const facts = await factsOf(await node());
      const read = Array.from({ length: peers }, (_, i) => ({
        id: `peer ${i}`,
        label: `peer ${i}`,
        offsetMs: offsetMs + i,
        uncertaintyMs: 5,
      }));
      return [examineOnline({ ...facts, clocks: read }), { facts, read }];
    },
    async ({ remedy }, { facts, read }) => {
      expect(remedy).toMatch(NTP);
      return examineOnline({ ...facts, clocks: read.map((each) => ({ ...each, offsetMs: 3 })) });
    },
  );
}

/** A daemon beside one whose clock is ahead, and is put right. */
function peerAhead(message: RegExp, ms: number): FindingCase {
  return planted(
    message,
    async () => {
      const [here, dir] = [await startDaemonHere(folder()), folder()];
      afterwards(() => here.stop());
      const there = await startDaemonHere(dir);
      await joinNodes(here, there);
      await there.stop();
      const PORT = new URL(there.url).port;
      const wrong = await startDaemon(dir, { PORT, NODE_OPTIONS: shifted(ms) });
      afterwards(() => wrong.stop());
      return [await findings(here), { here, wrong, dir, PORT }];
    },
    async ({ remedy }, { here, wrong, dir, PORT }) => {
      expect(remedy).toMatch(NTP);
      await wrong.stop();
      const right = await startDaemonHere(dir, { PORT });
      afterwards(() => right.stop());
      return findings(here);
    },
  );
}
const findings = async (of: Daemon): Promise<Finding[]> =>
  (await of.json<{ findings: Finding[] }>('GET', '/doctor')).findings;
const shifted = (ms: number): string =>
  `--import=data:text/javascript,${encodeURIComponent(`const now = Date.now; Date.now = () => now() + ${ms};`)}`;

/** A registered node that is not there. */
const away = (laterMs: number): FindingCase => ({
  ...planted(
    /cannot be reached \(not connected\); silent since 20\d\d-.*; never synced/,
    async () => {
      const of = await node();
      await registerHere(of, someone().peerId);
      return [await online(of, laterMs), of];
    },
    async (finding, of) => {
      await run(of, finding);
      return online(of, laterMs);
    },
  ),
});

const standing = (
  message: RegExp,
  change: (registry: Registry, peer: PeerId) => Promise<unknown>,
): FindingCase =>
  planted(
    message,
    async () => {
      const of = await node();
      const { peerId } = await author(of);
      await change(of.node.registry, peerId);
      return [await online(of), of];
    },
    async (finding, of) => {
      await run(of, finding);
      return online(of);
    },
  );

async function twoHistories(of: TestNode, hand: Hand): Promise<void> {
  const entries = ['one', 'two'].map((title) =>
    hand.sign(listingOps(hand.pen, 'maize', undefined, { title })),
  );
  await of.node.ledger.receive(entries.map(({ bytes }) => bytes));
}

/** Ops that nobody understands, of an author of this node's. */
async function floodedBy(of: TestNode, count: number, bytes: number): Promise<void> {
  const hand = new Hand(await author(of), epoch());
  for (let n = 0; n < count; n++) {
    const op = encodeOp({ v: 1, c: 'zzz', k: '', t: 'fact', d: new Uint8Array(randomBytes(bytes)) });
    expect(await of.node.ledger.receive([hand.next([op]).bytes])).toMatchObject([{ kind: 'accept' }]);
  }
}

/** What an upgrade is to the doctor: this node knows what the others do, and nothing waits for it. */
async function upgraded({ remedy }: Finding, of: TestNode): Promise<readonly Finding[]> {
  expect(remedy).toMatch(/^upgrade this agrinetd/);
  const facts = await factsOf(of);
  return examineOnline({
    ...facts,
    schemaVersion: 99,
    quarantine: facts.quarantine.filter(({ forUpgrade }) => !forUpgrade),
  });
}

export const FEDERATION: CasesOf<
  | Extract<FindingId, `${string}-clock-${string}` | `node-${string}` | `peer-${string}`>
  | 'clock-impossible'
  | 'clock-set-ahead'
  | 'own-entry-ahead'
  | 'dht-empty'
  | 'ops-newer'
  | 'entries-lacking'
  | 'feeds-lacking'
  | 'digest-differs'
  | 'digests-not-compared'
  | 'feed-stalled'
  | 'entries-forgotten'
  | 'author-near-quota'
  | 'author-many-waiting'
  | 'feed-forked'
  | 'own-feed-forked'
  | 'recovery-fence'
> = {
  'clock-impossible': ownClock(/reads 1970-01-01T/, { credible: false, wall: 60_000 }),
  'clock-set-ahead': ownClock(/was set 10800\.0 s ahead/, { doubtedMs: 180 * MINUTE }),
  'own-entry-ahead': {
    ...planted(
      /the newest own entry is dated 2029-/,
      async () => {
        const identity = someone();
        const of = await node({}, identity);
        const hand = new Hand(identity, epoch());
        const time = [Date.UTC(2029, 1, 1), 0] as const;
        await of.node.ledger.receive([
          hand.sign(listingOps(hand.pen, 'maize', undefined, { title: 'Maize' }), { time }).bytes,
        ]);
        return [await online(of), of];
      },
      async ({ remedy }, of) => {
        expect(remedy).toMatch(/this clears with the next entry of this node$/);
        expect((await of.request('POST', '/listings', { type: 'offer', title: 'next' })).status).toBe(201);
        return online(of);
      },
    ),
  },
  'own-clock-off': clocks(/the clocks of all 2 peers asked are 120\.0 s ahead of/, 2 * MINUTE, 2),
  'own-clock-refused': clocks(/the clocks of all 2 peers asked are 600\.0 s ahead of/, 10 * MINUTE, 2),
  'peer-clock-off': clocks(/the clock of peer 0 is 120\.0 s behind this one/, -2 * MINUTE, 1),
  'peer-clock-refused': peerAhead(
    /the clock of .* is (599|600|601)\.\d s ahead of this one \(± \d+\.\d s\)/,
    10 * MINUTE,
  ),
  'dht-empty': planted(
    /DHT table is empty although 1 peers are connected/,
    async () => {
      const of = await node({ MYCELIUM_NETWORK: 'mistaken' });
      const deaf = await createLibp2p({
        transports: [tcp()],
        connectionEncrypters: [noise()],
        streamMuxers: [yamux()],
      });
      afterwards(() => deaf.stop());
      await deaf.dial(of.addresses.map((address) => multiaddr(address)));
      await waitFor('the connection', () => of.node.host.libp2p.getPeers().length === 1);
      expect((await online(of)).filter(({ id }) => id === 'dht-empty')).toEqual([]);
      return [await online(of, 2 * MINUTE), of];
    },
    async (finding, of) => {
      const peer = await node({ MYCELIUM_NETWORK: 'right' });
      const right = await restarted(of, setting(finding, 'right'));
      await befriend(right, peer);
      await waitFor('a peer in the table', () => right.node.discovery.tableSize() > 0, 20_000);
      return online(right, 2 * MINUTE);
    },
  ),
  'peer-away': [
    away(2 * MINUTE),
    {
      name: 'and it is started again',
      ...planted(
        /cannot be reached/,
        async () => {
          const [of, peer] = [await node(), await node()];
          await befriend(of, peer);
          await waitFor('the connection', () => of.node.host.libp2p.getPeers().length === 1, 20_000);
          await peer.stop();
          await waitFor('its end', () => of.node.host.libp2p.getPeers().length === 0, 20_000);
          return [await online(of, 2 * MINUTE), { of, peer }];
        },
        async ({ remedy }, { of, peer }) => {
          expect(remedy).toMatch(/^restart that node/);
          await restarted(peer);
          await waitFor('the connection', () => of.node.host.libp2p.getPeers().length === 1, 30_000);
          return online(of, 2 * MINUTE);
        },
      ),
    },
  ],
  'peer-late': away(0),
  'node-pending': standing(/is waiting for your approval/, (registry, peer) => registry.withdraw(peer)),
  'node-suspended': standing(/is suspended/, (registry, peer) => registry.change(peer, 'suspend')),
  'node-revoked': standing(/is revoked/, (registry, peer) => registry.change(peer, 'revoke')),
  'node-newer': planted(
    /has schema version 99, this node has \d+/,
    async () => {
      const of = await node();
      await registerHere(of, someone().peerId, { schemaVersion: 99 });
      return [await online(of), of];
    },
    upgraded,
  ),
  'ops-newer': planted(
    /1 ops of a newer schema are pending until this node is upgraded/,
    async () => {
      const of = await node();
      const hand = new Hand(await author(of), epoch());
      const op = { v: 2, c: 'listings', k: `${hand.identity.peerId}/x`, t: 'delta', d: new Uint8Array(4) };
      await of.node.ledger.receive([hand.next([encodeOp(op)]).bytes]);
      return [await online(of), of];
    },
    upgraded,
  ),
  'entries-lacking': planted(
    /shows \d+ entries that have been missing here/,
    async () => {
      const of = await node({ DISK_RESERVE_MB: '1000000' });
      const peer = await node();
      for (let i = 0; i < 3; i++)
        await peer.request('POST', '/listings', { type: 'offer', title: `Maize ${i}` });
      await befriend(of, peer);
      await waitFor('the frontier of the peer', () => of.node.mycelium.frontiers().has(peer.peerId));
      return [await online(of, 5 * MINUTE), of];
    },
    async (finding, of) => {
      // What else is found is a disk that is full; then nothing keeps the sync from it.
      expect((await online(of)).map(({ id }) => id)).toContain('disk-full');
      const mended = await restarted(of, { DISK_RESERVE_MB: '1' });
      await run(mended, finding);
      await waitFor(
        'the entries',
        async () => {
          const left = await online(mended, 5 * MINUTE);
          return mended.node.mycelium.frontiers().size > 0 && left.every(({ id }) => id !== finding.id);
        },
        30_000,
      );
      return online(mended, 5 * MINUTE);
    },
  ),
  'feeds-lacking': planted(
    /names 1 earlier feeds of its own/,
    async () => {
      const of = await node();
      const identity = await author(of);
      const [earlier, later] = [new Hand(identity, epoch()), new Hand(identity, epoch())];
      const lost = earlier.next(listingOps(earlier.pen, 'beans', undefined, { title: 'Beans' }));
      const after = [{ epoch: earlier.epoch, seq: 1, hash: lost.hash }];
      const entry = later.sign(listingOps(later.pen, 'maize', undefined, { title: 'Maize' }), { after });
      expect(await of.node.ledger.receive([entry.bytes])).toMatchObject([{ kind: 'accept' }]);
      const elsewhere = await node();
      await registerHere(elsewhere, identity.peerId);
      await elsewhere.node.ledger.receive([lost.bytes]);
      return [await online(of, 5 * MINUTE), { of, elsewhere }];
    },
    async (finding, { of, elsewhere }) => {
      const file = join(folder(), 'feeds');
      afterwards(() => rmSync(file, { force: true }));
      await run(elsewhere, { remedy: `agrinet export-feed ${file}` });
      await run(of, finding, { '<a file made with agrinet export-feed on a node that has them>': file });
      return online(of, 5 * MINUTE);
    },
  ),
  'digests-not-compared': planted(
    /not compared with .*: collection barters \(the peer's version knows it/,
    async () => {
      const of = await node();
      await registerHere(of, someone().peerId);
      const facts = await factsOf(of);
      const notCompared = [{ collection: 'barters', here: null, there: 1 }];
      return [
        examineOnline({ ...facts, nodes: facts.nodes.map((each) => ({ ...each, notCompared })) }),
        facts,
      ];
    },
    async ({ remedy }, facts) => {
      expect(remedy).toMatch(/^upgrade whichever/);
      return examineOnline(facts);
    },
  ),
  // That a peer which takes no entry makes it so, and that it goes, is shown in test/unit/stalls.
  'feed-stalled': planted(
    /has been stuck at entry 2 of 9 of this node's feed public 0a0a for 6 minutes/,
    async () => {
      const of = await node();
      const peer = someone().peerId;
      await registerHere(of, peer);
      const stall = { peer, channel: 'public', epoch: '0a0a', there: 2, here: 9, sinceMs: 6 * MINUTE + 1 };
      return [examineOnline({ ...(await factsOf(of)), stalls: [stall] }), of];
    },
    async ({ remedy }, of) => {
      expect(remedy).toMatch(/^ask the operator of 12D3/);
      return online(of);
    },
  ),
  'entries-forgotten': planted(
    /^3 entries of \S+ were forgotten on /,
    async () => {
      const of = await node();
      await floodedBy(of, 3, 10);
      const [id = ''] = of.node.registry.list().map(({ peerId }) => peerId);
      await of.request('POST', `/federation/nodes/${id}/revoke`);
      await (await of.request('POST', `/federation/nodes/${id}/forget`)).text();
      return [await online(of), of];
    },
    async (finding, of) => {
      await of.node.registry.change(finding.subject ?? '', 'approve');
      return online(of);
    },
  ),
  'author-near-quota': planted(
    /uses \d+ of 1 MiB.*in 3 pending ops; over its quota, no more of its entries are accepted/,
    async () => {
      const of = await node({ AUTHOR_QUOTA_MB: '1' });
      await floodedBy(of, 3, 50_000);
      return [await online(of), of];
    },
    async (finding, of) => {
      await run(of, finding);
      return online(of);
    },
  ),
  'author-many-waiting': planted(
    /in 2 pending ops/,
    async () => {
      const of = await node({ AUTHOR_QUOTA_PENDING: '2' });
      await floodedBy(of, 2, 10);
      return [await online(of), of];
    },
    async (finding, of) => online(await restarted(of, setting(finding))),
  ),
  'digest-differs': planted(
    /has the same entries of .* but different records/,
    async () => {
      const of = await node();
      let peer = await node();
      await befriend(of, peer);
      await of.request('PUT', '/listings/maize', { type: 'offer', title: 'Maize' });
      const id = `${of.peerId}.maize`;
      const there = peer;
      await waitFor('the listing', async () => (await there.request('GET', `/listings/${id}`)).ok);
      await peer.stop();
      await plantDamage(peer.node.settings.dataDir, 'listings', [0]);
      peer = await restarted(peer);
      await befriend(of, peer);
      const found = await waitFor(
        'the finding',
        async () => {
          const all = await online(of);
          return all.some(({ check }) => check === 'digests') ? all : undefined;
        },
        30_000,
      );
      return [found, { of, peer }];
    },
    async (finding, { of, peer }) => {
      expect(finding.remedy).toBe(`agrinet scrub, here and at ${peer.peerId}`);
      await run(of, finding);
      await run(peer, finding);
      await waitFor(
        'its new digest',
        async () => {
          await of.node.mycelium.syncNow();
          return (await online(of)).every(({ id }) => id !== finding.id);
        },
        30_000,
      );
      return online(of);
    },
  ),
  'feed-forked': planted(
    /has signed two histories/,
    async () => {
      const of = await node();
      await twoHistories(of, new Hand(await author(of), epoch()));
      return [await online(of), of];
    },
    async (finding, of) => {
      await run(of, finding);
      return online(of);
    },
  ),
  'own-feed-forked': planted(
    /somebody else has signed with this node's key/,
    async () => {
      const identity = someone();
      const of = await node({}, identity);
      await twoHistories(of, new Hand(identity, epoch()));
      return [await online(of), of];
    },
    async ({ remedy }, of) => {
      expect(remedy).toMatch(/^take a new identity: move DATA_DIR away/);
      await of.stop();
      return online(await node());
    },
  ),
  'recovery-fence': [
    planted(
      /recovery fence: no new commitments until every active peer has answered \(restored\): 0 have, 12D3KooW\w+ has not/,
      async () => {
        const of = await node();
        await registerHere(of, someone().peerId);
        expect((await online(of)).filter(({ check }) => check === 'rejoin')).toEqual([]);
        of.node.rejoin.lost('restored');
        return [await online(of), of];
      },
      async (finding, of) => {
        await run(of, { remedy: finding.remedy.slice(finding.remedy.indexOf('agrinet')) });
        return online(of);
      },
    ),
  ],
};
