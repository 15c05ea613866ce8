import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, expect, it } from 'vitest';
import { checkDerived } from '../../../daemon/check-derived.ts';
import type { Problem } from '../../../daemon/check-derived.ts';
import { surveyFeeds } from '../../../daemon/feed-survey.ts';
import { rebuildStore } from '../../../daemon/rebuild.ts';
import { decodeEntry, signEntry } from '../../../protocols/feed/entry.ts';
import { type Erasure, verifyErasure, signErasure, withoutOps } from '../../../protocols/feed/erasure.ts';
import { makeForkProof } from '../../../protocols/feed/fork.ts';
import { decodeOp, encodeOp } from '../../../protocols/feed/op.ts';
import { draftErasure, draftFact, draftPrivate } from '../../../protocols/ledger/drafts.ts';
import { erasureStatements } from '../../../protocols/ledger/erasure-request.ts';
import { rangeItems, rangeRequest } from '../../../protocols/mycelium/range.ts';
import { sha256Hex } from '../../../protocols/wire/bytes.ts';
import type { Channel, RecordKey } from '../../../protocols/wire/ids.ts';
import { identityFromSeed, type Identity } from '../../../protocols/wire/identity.ts';
import { range } from '../../../storage/keyspace.ts';
import { purgeErased } from '../../../storage/purge.ts';
import { filesWith } from '../../support/files-with.ts';
import { type LedgerNode, openLedgerNode } from '../../support/ledger-node.ts';
import { waitFor } from '../../support/wait.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { threadedMerger } from '../../support/merger.ts';

const MARKER = 'zebra-quartz-behind-the-mill';
const merger = threadedMerger((alarm) => {
  throw new Error(alarm.kind);
});
const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});
afterAll(() => merger.stop());

interface Member extends LedgerNode {
  readonly identity: Identity;
  readonly dir: string;
}

async function member(identity = identityFromSeed(randomBytes(32))): Promise<Member> {
  const dir = tempDir('erasure');
  const node = await openLedgerNode(dir.path, identity, merger);
  open.push(async () => {
    await node.close();
    dir.remove();
  });
  return { ...node, identity, dir: dir.path };
}

/** Everything of one feed that `from` would send to somebody who has nothing of it. */
async function itemsOf(from: LedgerNode, author: LedgerNode, channel: Channel, to?: LedgerNode) {
  const request = rangeRequest(author.self, channel, to?.store.feeds(author.self, channel) ?? []);
  return Array.fromAsync(rangeItems(from.store, request));
}

async function pull(
  from: LedgerNode,
  to: LedgerNode,
  author: LedgerNode,
  channel: Channel,
): Promise<string[]> {
  const codes: string[] = [];
  for (const { kind, bytes } of await itemsOf(from, author, channel, to)) {
    if (kind === 'proof') await to.ledger.receiveProof(bytes);
    else if (kind === 'erasure') await to.ledger.receiveErasure(bytes);
    else for (const result of await to.ledger.receive([bytes])) codes.push(result.code ?? result.kind);
  }
  return codes;
}

/** A conversation of these members and what the first one says in it. */
async function conversation(author: Member, others: readonly Member[], content: string) {
  const members = [author, ...others].map(({ self }) => self);
  const made = draftPrivate(
    { author: author.self },
    'conversations',
    {
      writers: members,
      participants: members,
    },
    randomBytes(16),
  );
  await author.ledger.write({ keys: [made.key], draft: () => [made] });
  const key = await say(author, made.key, content);
  await say(author, made.key, 'this one stays');
  return { channel: made.key, key };
}

async function say(author: Member, channel: RecordKey, content: string): Promise<RecordKey> {
  const fields = { from: `u@${author.self}`, type: 'text', content, sentAt: Date.now() };
  const written = await author.ledger.write({
    keys: [],
    draft: (pen) => [draftFact(pen, 'messages', fields, channel)],
  });
  const key = written.records[0]?.key;
  if (key === undefined) throw new Error('nothing written');
  return key;
}

async function erase(author: Member, channel: Channel, key: RecordKey): Promise<void> {
  const statements = erasureStatements(author.self, key, await author.store.recordOps(key), Date.now());
  await author.ledger.write({
    keys: [],
    draft: () => [draftErasure(author.identity, channel, statements)],
  });
}

const digestIn = (node: LedgerNode, channel: Channel): string =>
  JSON.stringify([...node.store.digests.of(channel)].map(([owner, all]) => [owner, ...all]).sort());

async function problemsOf(node: LedgerNode): Promise<Problem[]> {
  const { problems } = await surveyFeeds(node.db, () => undefined);
  await checkDerived(node.db, problems, true);
  return problems;
}

it.each([
  ['a message', MARKER],
  ['one that stands packed on disk', `${MARKER} ${'as often said '.repeat(500)}`],
])('erases %s at every participant, and whoever joins later never gets it', async (_, content) => {
  const [a, b, c] = [await member(), await member(), await member()];
  const { channel, key } = await conversation(a, [b, c], content);
  await pull(a, b, a, channel);
  for (const node of [a, b]) expect(filesWith(node.dir, MARKER)).not.toEqual([]);
  expect((await b.views()).get(key)).toContain(MARKER);
  await erase(a, channel, key);
  expect(await pull(a, b, a, channel)).toEqual(['accept']);
  expect(await pull(b, c, a, channel)).not.toContain('ops-erased');
  for (const node of [a, b, c]) {
    expect([undefined, 'ended']).toContain((await node.views()).get(key));
    await purgeErased(node.db, [key]);
    expect(filesWith(node.dir, MARKER)).toEqual([]);
    expect(filesWith(node.dir, 'this one stays')).not.toEqual([]);
    expect(await problemsOf(node)).toEqual([]);
    expect(node.alarms()).toEqual([]);
    expect(digestIn(node, channel)).toBe(digestIn(a, channel));
  }
});

it('erases an ended listing with all its ops, and its tombstone stands', async () => {
  const [a, b, c] = [await member(), await member(), await member()];
  const { state } = await a.catalogue.createListing({ type: 'offer', title: MARKER });
  await a.catalogue.patch(state.key, { notes: `${MARKER} again`, price: 4 });
  await a.catalogue.createListing({ type: 'offer', title: 'this one stays' });
  await pull(a, b, a, 'public');
  const live = a.digestOf(a.self);
  await a.catalogue.remove(state.key);
  const ended = a.digestOf(a.self);
  await erase(a, 'public', state.key);
  expect([a.digestOf(a.self) === ended, ended === live]).toEqual([true, false]);
  await pull(a, b, a, 'public');
  await pull(b, c, a, 'public');
  for (const node of [a, b, c]) {
    await purgeErased(node.db, [state.key]);
    expect(filesWith(node.dir, MARKER)).toEqual([]);
    expect(await problemsOf(node)).toEqual([]);
    expect(node.digestOf(a.self)).toBe(ended);
    expect((await node.store.records([state.key]))[0]).toMatchObject({ tombstone: true, view: {} });
  }
});

it('stays erased when everything is derived anew, also where the words were lost', async () => {
  const [a, b] = [await member(), await member()];
  const { channel, key } = await conversation(a, [b], MARKER);
  await erase(a, channel, key);
  const before = digestIn(a, channel);
  await a.db.level.clear(range('erasures'));
  expect(await problemsOf(a)).toMatchObject([{ code: 'erasure-unproven' }]);
  const { store, problems } = await rebuildStore(a.db, merger, () => undefined);
  expect(problems).toEqual([]);
  expect(JSON.stringify([...store.digests.of(channel)].map(([owner, all]) => [owner, ...all]).sort())).toBe(
    before,
  );
  expect(await problemsOf(a)).toEqual([]);
  expect((await a.views()).get(key)).toBeUndefined();
});

it('takes the op out of an entry that comes whole after its erasure', async () => {
  const key = identityFromSeed(randomBytes(32));
  const first = await member(key);
  const [b, late] = [await member(), await member()];
  const said = await conversation(first, [b], MARKER);
  const whole = await itemsOf(first, first, said.channel);
  // Another process of the same key erases it: the word stands in another epoch, which may come first.
  const second = await member(key);
  for (const { bytes } of whole) await second.ledger.receive([bytes]);
  await erase(second, said.channel, said.key);
  const all = await itemsOf(second, first, said.channel);
  const word = all.filter(
    ({ kind, bytes }) => kind === 'entry' && decodeEntry(bytes).header.epoch !== epochOf(whole),
  );
  expect(word.length).toBe(1);
  for (const { bytes } of [...word, ...whole]) await late.ledger.receive([bytes]);
  for (const { bytes } of [...whole, ...word]) await b.ledger.receive([bytes]);
  for (const node of [late, b]) {
    await purgeErased(node.db, [said.key]);
    expect(filesWith(node.dir, MARKER)).toEqual([]);
    expect(await problemsOf(node)).toEqual([]);
    expect(digestIn(node, said.channel)).toBe(digestIn(second, said.channel));
  }
});

const epochOf = (items: readonly { bytes: Uint8Array }[]): string =>
  decodeEntry(items[0]?.bytes ?? new Uint8Array()).header.epoch;

it('takes nothing out on anybody’s word but the author’s, and only what he named', async () => {
  const [a, b, thief] = [await member(), await member(), await member()];
  const { channel, key } = await conversation(a, [b], MARKER);
  const entries = (await itemsOf(a, a, channel)).map(({ bytes }) => decodeEntry(bytes));
  const refs = await a.store.recordOps(key);
  const [target] = erasureStatements(a.self, key, refs, 1);
  const [ref] = refs;
  const entry = entries.find(({ header }) => header.seq === ref?.seq);
  if (target === undefined || ref === undefined || entry === undefined) throw new Error('no target');
  const stripped = withoutOps(entry, new Set([ref.index])).bytes;
  for (const { bytes, header } of entries) if (header.seq < ref.seq) await b.ledger.receive([bytes]);

  const receive = async (): Promise<unknown> => {
    const [result] = await b.ledger.receive([stripped]);
    return [result?.kind, result?.code];
  };
  expect(await receive()).toEqual(['ignore', 'ops-erased']);
  // In another's name nothing can be said at all.
  const forged = signErasure(thief.identity, target);
  await expect(b.ledger.receiveErasure(forged)).rejects.toThrow('only your own messages');
  const broken = signErasure(a.identity, target);
  broken[broken.length - 1] = (broken.at(-1) ?? 0) ^ 1;
  await expect(b.ledger.receiveErasure(broken)).rejects.toThrow('signature');
  expect(await receive()).toEqual(['ignore', 'ops-erased']);
  for (const op of [
    { index: ref.index + 1, hash: target.ops[0]?.hash ?? '' },
    { index: ref.index, hash: '0'.repeat(64) },
  ]) {
    await b.ledger.receiveErasure(signErasure(a.identity, { ...target, ops: [op] }));
    expect(await receive()).toEqual(['reject', 'erasure-mismatch']);
  }
  await b.ledger.receiveErasure(signErasure(a.identity, target));
  expect(await receive()).toEqual(['accept', undefined]);
});

it('keeps what is evidence: contracts by their channel, everything else by what the op says', async () => {
  const a = await member();
  const rules: [string, Channel][] = [
    ['transitions', `contracts/${a.self}/x` as Channel],
    ['messages', `contracts/${a.self}/x` as Channel],
    ['ratings', 'public'],
    ['contracts', 'public'],
  ];
  const statement = { epoch: '00'.repeat(8), seq: 1, ops: [{ index: 0, hash: '0'.repeat(64) }], time: 1 };
  for (const [collection, channel] of rules) {
    const record = `${collection}/${a.self}/x` as RecordKey;
    expect(() => verifyErasure(signErasure(a.identity, { ...statement, channel, record }))).toThrow(
      expect.objectContaining({ code: 'evidence-kept' }),
    );
  }
  // A price that its author calls a listing stays where it is held.
  const price = { date: '2026-01-01', market: MARKER, commodity: 'Maize', unit: 'KG', priceType: 'Retail' };
  const { state } = await a.catalogue.addPrice({ ...price, currency: 'KES', price: 3 });
  const [op] = erasureStatements(a.self, state.key, await a.store.recordOps(state.key), 1);
  if (op === undefined) throw new Error('no op');
  const lie: Omit<Erasure, 'bytes' | 'author' | 'id'> = {
    ...op,
    record: `listings/${a.self}/x` as RecordKey,
  };
  await a.ledger.write({ keys: [], draft: () => [draftErasure(a.identity, 'public', [lie])] });
  expect((await a.store.records([state.key]))[0]?.exists).toBe(true);
  expect(await a.store.erasures({ author: a.self, channel: 'public', epoch: op.epoch }, 1, 9)).toEqual([]);
  expect(await problemsOf(a)).toEqual([]);
});

it('stands in an op of the collection of what it erases, and of no other', async () => {
  const a = await member();
  const { channel, key } = await conversation(a, [], MARKER);
  const [statement] = erasureStatements(a.self, key, await a.store.recordOps(key), Date.now());
  if (statement === undefined) throw new Error('nothing to erase');
  const d = signErasure(a.identity, statement);
  const under = async (c: string): Promise<string | undefined> => {
    const op = encodeOp({ v: 1, c, k: '', t: 'erase', d });
    await a.ledger.write({ keys: [], draft: () => [{ key: channel, channel, ops: [op] }] });
    return (await a.views()).get(key);
  };
  expect(await under('conversations')).toContain(MARKER);
  expect(await under('messages')).not.toContain(MARKER);
});

it('never takes a tombstone out: an ended listing stays ended', async () => {
  const a = await member();
  const { state } = await a.catalogue.createListing({ type: 'offer', title: MARKER });
  await a.catalogue.remove(state.key);
  const ops = await a.store.recordOps(state.key);
  const ended = a.digestOf(a.self);
  const all = ops.map(({ channel, epoch, seq, index, bytes }) => ({
    channel,
    epoch,
    seq,
    record: state.key,
    time: 1,
    ops: [{ index, hash: sha256Hex(bytes) }],
  }));
  expect(all.length).toBe(2);
  await a.ledger.write({ keys: [], draft: () => [draftErasure(a.identity, 'public', all)] });
  const left = (await a.store.recordOps(state.key)).map(({ bytes }) => decodeOp(bytes)?.t);
  expect(left).toEqual(['tombstone', 'erase', 'erase']);
  expect((await a.store.records([state.key]))[0]).toMatchObject({ tombstone: true, exists: false });
  expect(a.digestOf(a.self)).toBe(ended);
});

it('is said again by its author when a fork has hidden it from others', async () => {
  const [a, b] = [await member(), await member()];
  const { state } = await a.catalogue.createListing({ type: 'offer', title: MARKER });
  await a.catalogue.remove(state.key);
  await pull(a, b, a, 'public');
  await erase(a, 'public', state.key);
  const last = (await itemsOf(a, a, 'public')).filter(({ kind }) => kind === 'entry').at(-1);
  const said = decodeEntry(last?.bytes ?? new Uint8Array());
  const { n: _, root: __, ...place } = said.header;
  // Another copy of the key has written something else at that place, and b hears of both before the erasure.
  const proof = makeForkProof(said, signEntry(a.identity, place, [Uint8Array.of(1)]));
  expect(await b.ledger.receiveProof(proof.bytes)).toBe('new');
  expect(await a.ledger.receiveProof(proof.bytes)).toBe('new');
  await waitFor('the author to say it again', async () => a.store.feeds(a.self, 'public').length === 2);
  await pull(a, b, a, 'public');
  for (const node of [a, b]) {
    await purgeErased(node.db, [state.key]);
    expect(filesWith(node.dir, MARKER)).toEqual([]);
    expect(await problemsOf(node)).toEqual([]);
  }
  expect(b.digestOf(a.self)).toBe(a.digestOf(a.self));
});
