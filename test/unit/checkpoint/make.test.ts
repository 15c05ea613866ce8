import { expect, it } from 'vitest';
import { readCheckpoint, signCheckpoint } from '../../../protocols/feed/checkpoint.ts';
import { draftCheckpoint } from '../../../protocols/ledger/drafts.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import {
  checkpointMembers,
  edit,
  end,
  fact,
  heldOf,
  made,
  newestTime,
  planned,
  verified,
} from '../../support/checkpoint-member.ts';
import { type LedgerNode, pull } from '../../support/ledger-node.ts';
import { PRICE } from '../../support/vectors/checkpoints.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';
import { waitFor } from '../../support/wait.ts';

const { member } = checkpointMembers();

/** Listings that were edited and ended, a price, and heads of an audit log, which stay as evidence. */
async function trade(node: LedgerNode): Promise<void> {
  for (let i = 0; i < 70; i++) await edit(node, `maize-${i}`, { type: 'offer', status: 'active', price: i });
  for (let i = 0; i < 10; i++) await edit(node, 'maize-1', { price: 100 + i, unit: 'kg' });
  await end(node, recordKey('listings', node.self, 'maize-2'));
  await fact(node, 'prices', PRICE);
  await fact(node, 'audit-heads', { head: '7a'.repeat(32), place: 'a'.repeat(22), at: 1 });
}

it('is of what is shown, and gives whoever holds the entries the same, however much more there is', async () => {
  const author = await member(nodeOf(1));
  const other = await member(nodeOf(2), [author.identity]);
  await trade(author);
  const digest = author.digestOf(author.self);
  const plan = await planned(author.checkpoints());
  expect(plan).toMatchObject({ outcome: 'ready', figures: { digest, evidence: 1, gen: 1, records: 72 } });
  expect(await heldOf(author)).toEqual([]);
  const progress: number[] = [];
  const result = await author.checkpoints().make((done) => progress.push(done));
  expect(result).toEqual({ ...plan, outcome: 'made', id: (await heldOf(author))[0]?.id });
  expect(progress.at(-1)).toBe(72);
  expect(author.digestOf(author.self)).toBe(digest);
  // What comes after is above it.
  await edit(author, 'maize-1', { price: 7 });
  await edit(author, 'maize-99', { type: 'offer', status: 'active' });
  await end(author, recordKey('listings', author.self, 'maize-3'));
  await pull(author, other, [author.self]);
  expect(await verified(other)).toBe('true');
  expect(other.alarmed).toEqual([]);
  expect([author.told, other.told]).toEqual([['own made'], ['other true']]);
});

it('lags: it covers what was signed by then, and the next one takes its place', async () => {
  const author = await member(nodeOf(1));
  await edit(author, 'maize-1', { type: 'offer', status: 'active' });
  const [digest, then] = [author.digestOf(author.self), Date.now()];
  await waitFor('the clock goes on', () => Date.now() > then + 2);
  for (let i = 0; i < 3; i++) await edit(author, 'maize-1', { price: i });
  const newest = await newestTime(author);
  expect(await made(author.checkpoints(newest - then))).toMatchObject({
    outcome: 'made',
    figures: { digest, entries: 1 },
  });
  expect(await planned(author.checkpoints(newest))).toEqual({
    outcome: 'unchanged',
    id: (await heldOf(author))[0]?.id,
  });
  expect(await made(author.checkpoints())).toMatchObject({ figures: { gen: 2 } });
  const [first, second] = await heldOf(author);
  expect(second?.prev).toEqual([first?.id]);
});

it('is not made of a node that has nothing, or whose key is used elsewhere', async () => {
  const author = await member(nodeOf(1));
  expect(await made(author.checkpoints())).toEqual({ outcome: 'nothing' });
  await edit(author, 'maize-1', { type: 'offer', status: 'active' });
  expect(await planned(author.checkpoints(0, { isKeyElsewhere: () => true }))).toMatchObject({
    outcome: 'refused',
    why: { code: 'checkpoint-refused' },
  });
  await expect(made(author.checkpoints(0, { isKeyElsewhere: () => true }))).rejects.toMatchObject({
    code: 'checkpoint-refused',
  });
});

it('is not made where a change that did not know of a later one would be lost, and is when both are covered', async () => {
  const author = await member(nodeOf(1));
  const copy = await member(nodeOf(1));
  await edit(author, 'maize-1', { type: 'offer', status: 'active' });
  await pull(author, copy, [author.self]);
  await edit(author, 'maize-1', { price: 1 });
  const then = Date.now();
  await waitFor('the clock goes on', () => Date.now() > then + 2);
  await edit(copy, 'maize-1', { price: 2 });
  await pull(copy, author, [author.self]);
  const plan = await planned(author.checkpoints((await newestTime(author)) - then));
  expect(plan).toMatchObject({ outcome: 'refused', why: { code: 'checkpoint-refused' } });
  expect(plan.why?.message).toContain('would lose a change');
  expect(await made(author.checkpoints())).toMatchObject({ outcome: 'made', figures: { count: 1 } });
  const other = await member(nodeOf(2), [author.identity]);
  await pull(author, other, [author.self]);
  expect(await verified(other)).toBe('true');
});

it('of other sums than its entries give is false; one that is not all held yet is neither', async () => {
  const author = await member(nodeOf(1));
  const other = await member(nodeOf(2), [author.identity]);
  await trade(author);
  await made(author.checkpoints());
  const [good] = await heldOf(author);
  if (good === undefined) throw new Error('none was made');
  const { author: _, id, signed: __, ...said } = good;
  const altered = signCheckpoint(author.identity, { ...said, gen: 2, prev: [id], chunks: '11'.repeat(32) });
  await author.ledger.write({ keys: [], draft: () => [draftCheckpoint(author.self, altered)] });
  await pull(author, other, [author.self]);
  expect(await verified(other)).toBe('false');
  expect(other.alarmed.map((each) => each.id)).toEqual([readCheckpoint(altered).id]);
  expect(other.told).toEqual(['other false']);
  // It was decided: nothing is done again. Alarms are in memory, so the next process tells of it again, once.
  const again = other.checkpoints();
  for (let i = 0; i < 2; i++) await again.look();
  expect([...again.counts()]).toEqual([]);
  expect(other.alarmed.map((each) => each.id)).toEqual([
    readCheckpoint(altered).id,
    readCheckpoint(altered).id,
  ]);
});

it('of entries that are not held here is incomplete', async () => {
  const [author, other] = [await member(nodeOf(1)), await member(nodeOf(2), [nodeOf(1)])];
  await edit(author, 'maize-1', { type: 'offer', status: 'active' });
  await made(author.checkpoints());
  const [good] = await heldOf(author);
  if (good === undefined) throw new Error('none was made');
  const { author: _, id: __, signed: ___, ...said } = good;
  const ahead = said.covers.map((cover) => ({ ...cover, seq: cover.seq + 100 }));
  const early = signCheckpoint(author.identity, { ...said, gen: 9, covers: ahead });
  await author.ledger.write({ keys: [], draft: () => [draftCheckpoint(author.self, early)] });
  await pull(author, other, [author.self]);
  expect(await verified(other)).toBe('incomplete');
  expect(other.alarmed).toEqual([]);
});

it('one that another stands beside is told of once', async () => {
  const author = await member(nodeOf(1));
  const other = await member(nodeOf(2), [author.identity]);
  await edit(author, 'maize-1', { type: 'offer', status: 'active' });
  await made(author.checkpoints());
  const [good] = await heldOf(author);
  if (good === undefined) throw new Error('none was made');
  const { author: _, id: __, signed: ___, ...said } = good;
  const beside = signCheckpoint(author.identity, { ...said, time: said.time + 1 });
  await author.ledger.write({ keys: [], draft: () => [draftCheckpoint(author.self, beside)] });
  await pull(author, other, [author.self]);
  const checkpoints = other.checkpoints(0, { times: { lagMs: 0, verifyMs: 0 } });
  for (let i = 0; i < 3; i++) await checkpoints.look();
  expect(other.told).toEqual(['other contested', 'other true']);
});
