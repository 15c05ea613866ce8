import { encodeMessage } from '../../../protocols/mycelium/message.ts';
import { encodeOp } from '../../../protocols/feed/op.ts';
import { type Entry, signEntry } from '../../../protocols/feed/entry.ts';
import { draftFact } from '../../../protocols/ledger/drafts.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import type { Member } from './member.ts';
import { NET } from './node.ts';
import { acceptSome, type Operation } from './operations.ts';
import type { World } from './world.ts';

/** What happens to nodes and to the network. It needs no node that runs. */
export interface Blow {
  readonly name: string;
  readonly weight: number;
  strike(world: World, member: Member): void;
}

/** So long a node is down at the longest, milliseconds. */
const DOWN_MS = 40_000;
/** Long enough for whatever the old process has sent to have arrived or been given up. */
const RESTORE_MS = 60_000;

function crash(world: World, member: Member): void {
  if (member.isDown) return;
  const kind = world.chance() < 0.6 ? 'power' : 'kill';
  const now = (): void => {
    if (member.isDown) return;
    world.crash(member, kind);
    world.time.after(200 + world.chance.below(DOWN_MS), () => member.start());
  };
  // The end of the log is what goes: best with something in it.
  if (kind === 'power' && world.chance() < 0.7) world.onceTaken(member, now);
  else now();
}

function restart(world: World, member: Member): void {
  if (member.running === undefined) return;
  const { running } = member;
  world.attempt(member, 'stop', () => member.stop(), running.process);
  world.time.after(2000 + world.chance.below(DOWN_MS), () => member.start());
}

/** The disk is lost; the operator restores the backup, and often the network is not what it was. */
function restore(world: World, member: Member): void {
  if (world.isSettling || !member.hasBackup || member.isDown || member === world.liar) return;
  world.crash(member, 'power');
  world.restore(member);
  const isCutOff = world.chance() < 0.6;
  world.time.after(RESTORE_MS, () => {
    if (!member.isDown) return;
    if (isCutOff && !world.isSettling) isolate(world, member, 30_000 + world.chance.below(60_000));
    member.start();
    for (let tries = 1; tries <= 3; tries++)
      world.time.after(tries * 4000, () => {
        const { running } = member;
        if (running !== undefined)
          world.attempt(member, 'accept all', () => acceptSome(world, member, running, Infinity));
      });
  });
}

/** A backup, then promises that are not in it, then the disk is lost. */
function badDay(world: World, member: Member): void {
  const { running } = member;
  if (running === undefined || member === world.liar) return;
  world.attempt(member, 'back up', () => member.backUp());
  world.time.after(1000, () => {
    if (member.running === running)
      world.attempt(member, 'accept one', () => acceptSome(world, member, running, 1));
  });
  world.time.after(15_000, () => restore(world, member));
}

function isolate(world: World, member: Member, ms: number): void {
  for (const other of world.members) {
    if (other === member) continue;
    world.network.link(member.peerId, other.peerId).up = false;
    world.network.link(other.peerId, member.peerId).up = false;
  }
  world.network.changed();
  world.time.after(ms, () => world.network.heal());
}

/** Two groups that do not reach each other. */
function split(world: World): void {
  const side = new Map(world.members.map((member) => [member, world.chance() < 0.5]));
  for (const one of world.members)
    for (const other of world.members)
      if (side.get(one) !== side.get(other)) world.network.link(one.peerId, other.peerId).up = false;
  world.network.changed();
  world.time.after(5000 + world.chance.below(90_000), () => world.network.heal());
}

/** One direction of one link: the other side hears, and is not heard. */
function deafen(world: World, member: Member): void {
  const other = world.chance.pick(world.members);
  if (other === member) return;
  world.network.link(member.peerId, other.peerId).up = false;
  world.network.changed();
}

function slow(world: World, member: Member): void {
  const other = world.chance.pick(world.members);
  if (other === member) return;
  const link = world.network.link(member.peerId, other.peerId);
  link.delay = [50, 50 + world.chance.below(2500)];
  link.loss = world.chance() * 0.4;
  link.twice = world.chance() * 0.3;
}

/** Somebody sets the clock of a machine. */
function setClock(world: World, member: Member): void {
  const far = world.chance() < 0.3;
  member.skewMs = Math.floor((world.chance() - 0.5) * (far ? 20 * 60_000 : 10_000));
}

export const BLOWS: readonly Blow[] = [
  { name: 'crash', weight: 5, strike: crash },
  { name: 'restart', weight: 3, strike: restart },
  { name: 'restore', weight: 2, strike: restore },
  { name: 'bad day', weight: 4, strike: badDay },
  { name: 'split', weight: 3, strike: split },
  {
    name: 'isolate',
    weight: 2,
    strike: (world, member) => isolate(world, member, world.chance.below(90_000)),
  },
  { name: 'deafen', weight: 3, strike: deafen },
  { name: 'slow', weight: 4, strike: slow },
  { name: 'heal', weight: 5, strike: (world) => world.network.heal() },
  { name: 'set clock', weight: 2, strike: setClock },
];

/** Gossips to some, as somebody who does not keep to the rules may. */
function tell(world: World, liar: Member, bytes: Uint8Array, share: number): void {
  const host = liar.running?.host;
  if (host === undefined) return;
  for (const other of world.members)
    if (other !== liar && world.chance() < share)
      world.network.datagram(host, other.peerId, encodeMessage({ kind: 'entry', bytes }));
}

async function ownEntry(world: World, liar: Member): Promise<Entry | undefined> {
  const store = liar.running?.store;
  const feeds =
    store?.feeds(liar.peerId, 'public').filter(({ seq, fork }) => seq > 0 && fork === undefined) ?? [];
  if (store === undefined || feeds.length === 0) return undefined;
  const feed = world.chance.pick(feeds);
  return store.entry(feed.no, feed.seq - world.chance.below(Math.min(3, feed.seq)));
}

/** Signs another entry at a place of its own feed where there is one. */
async function equivocate(world: World, liar: Member): Promise<void> {
  const entry = await ownEntry(world, liar);
  if (entry === undefined) return;
  const pen = { author: liar.peerId, epoch: entry.header.epoch };
  const fields = { date: '2026-01-13', market: `Fork ${world.nextNo()}`, commodity: 'Maize', unit: 'KG' };
  const draft = draftFact(pen, 'prices', { ...fields, currency: 'KES', price: 1, priceType: 'Retail' });
  tell(world, liar, signEntry(liar.identity, entry.header, draft.ops).bytes, 0.6);
}

/** Entries that nobody signed: changed, made up, or by somebody whom nobody knows. */
async function forge(world: World, liar: Member): Promise<void> {
  const { chance } = world;
  const genuine = world.recent.length === 0 ? undefined : chance.pick(world.recent);
  if (genuine === undefined) return;
  if (chance() < 0.7) {
    const bytes = genuine.bytes.slice();
    const at = chance.below(bytes.length);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << chance.below(8));
    return tell(world, liar, bytes, 0.7);
  }
  const stranger = identityFromSeed(chance.bytes(32));
  const op = encodeOp({
    v: 1,
    c: 'listings',
    k: `${stranger.peerId}/x`,
    t: 'tombstone',
    d: new Uint8Array(0),
  });
  const header = {
    net: NET,
    channel: 'public',
    epoch: '00'.repeat(8),
    seq: 1,
    prev: null,
    after: [],
  } as const;
  tell(world, liar, signEntry(stranger, { ...header, time: [0, 0] }, [op]).bytes, 0.7);
}

/** What a node does that keeps to no rules. */
export const LIES: readonly Operation[] = [
  { name: 'equivocate', weight: 2, run: equivocate },
  { name: 'forge', weight: 5, run: forge },
];
