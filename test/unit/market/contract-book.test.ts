import { cpSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { collectionNamed, draftEdit, draftFact } from '../../../protocols/ledger/drafts.ts';
import { bindingNonce, bindingOf } from '../../../protocols/market/contract-book/binding.ts';
import { signTransition } from '../../../protocols/market/contract/statement.ts';
import { KeyedQueue } from '../../../protocols/serial-queue.ts';
import type {
  Body,
  BookParts,
  ContractBook,
  ContractView,
} from '../../../protocols/market/contract-book/types.ts';
import { rangeItems, rangeRequest } from '../../../protocols/mycelium/range.ts';
import { emptyState } from '../../../protocols/open-dialog/fast-path.ts';
import type { RecordState } from '../../../protocols/open-dialog/record.ts';
import type { Merger } from '../../../protocols/open-dialog/merger.ts';
import { base64url } from '../../../protocols/wire/bytes.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { parseRecordKey, publicId, recordKey, type RecordKey } from '../../../protocols/wire/ids.ts';
import { Reader } from '../../../storage/reader.ts';
import { type LedgerNode, openLedgerNode } from '../../support/ledger-node.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { threadedMerger } from '../../support/merger.ts';
import { openToldBook } from '../../support/told-book.ts';
import { DEAL, deal } from '../../support/terms.ts';

const identity = identityFromSeed(new Uint8Array(32).fill(1));
const self = identity.peerId;
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const amina = { operator: false, userId: 'amina' };
const ben = { operator: false, userId: 'ben' };
let dir: ReturnType<typeof tempDir>;
let merger: Merger;
let node: LedgerNode;
let book: ContractBook;
let clock = Date.now();
let failures: unknown[] = [];

const open = (other: Partial<BookParts> = {}): ContractBook =>
  openToldBook(node, identity, {
    now: () => clock,
    onFailure: (error) => failures.push(error),
    ...other,
  });
beforeEach(async () => {
  clock = Date.now();
  failures = [];
  dir = tempDir('contract-book');
  merger = threadedMerger();
  node = await openLedgerNode(dir.path, identity, merger);
  book = open();
});
afterEach(async () => {
  await book.stop();
  expect(failures).toEqual([]);
  await node.close();
  await merger.stop();
  dir.remove();
});

const stateOf = ({ held }: ContractView): string | undefined => held?.verdict.state;
async function listing(quantity: number): Promise<RecordKey> {
  const { state } = await book.catalogue.createListing({
    type: 'offer',
    ...DEAL,
    quantity,
    userId: 'ben',
  });
  return state.key;
}
async function asked(of: RecordKey, quantity: number, body: Body = {}): Promise<RecordKey> {
  const parts = parseRecordKey(of);
  const listingId = parts === undefined ? '' : publicId(parts);
  return (await book.create({ listingId, quantity, ...body }, amina)).state.key;
}
const left = async (of: RecordKey): Promise<unknown> =>
  (await new Reader(node.db).get(of))?.view['available'];

describe('the parties of a contract', () => {
  it('are those that its id was made with, whatever is written into its document', async () => {
    const { state } = await book.create({ ...deal(10), supplierId: 'ben' }, amina);
    const accepted = await book.step(state.key, { kind: 'accept' }, ben);
    expect(stateOf(accepted)).toBe('accepted');
    for (const name of ['supplierId', 'buyerId', 'listingId'])
      await node.ledger.write({
        keys: [state.key],
        draft: (pen, read) => [draftEdit(pen, state.key, state.key, read(state.key), { [name]: 'mallory' })],
      });
    // Also after a restart, which knows only what is on disk.
    await book.stop();
    book = open();
    const after = await book.get(state.key, ben);
    expect(after.held?.binding).toEqual({ buyer: `amina@${self}`, supplier: `ben@${self}`, listing: '' });
    expect(stateOf(after)).toBe('accepted');
    await expect(book.get(state.key, { operator: false, userId: 'mallory' })).rejects.toThrow('Not found');
  });

  it('cannot be guessed from another contract’s nonce', () => {
    const binding = { buyer: `amina@${self}`, supplier: `ben@${self}`, listing: '' };
    const nonce = Buffer.from(bindingNonce(binding, new Uint8Array(16))).toString('hex');
    const key = recordKey('contracts', self, 'x'.repeat(43));
    const state = (buyerId: string, supplierId: string, made: object = { nonce }): RecordState => ({
      ...emptyState(key, collectionNamed('contracts'), key),
      view: { buyerId, supplierId },
      members: { owner: self, writers: [self], participants: [self], ...made },
    });
    expect(bindingOf(state('amina', 'ben'), [])).toEqual(binding);
    expect(bindingOf(state('ben', 'amina'), [])).toBeUndefined();
    expect(bindingOf(state('amina', 'mallory'), [])).toBeUndefined();
    expect(bindingOf(state('amina', 'ben', {}), [])).toBeUndefined();
  });

  it('is looked for among 4,096 combinations, and in no more', () => {
    const key = recordKey('contracts', self, 'x'.repeat(43));
    const names = (who: string): string[] => Array.from({ length: 65 }, (_, i) => `${who}${i}`);
    const [buyers, suppliers] = [names('b'), names('s')];
    const found = (b = '', s = ''): boolean => {
      const made = { buyer: `${b}@${self}`, supplier: `${s}@${self}`, listing: '' };
      const nonce = Buffer.from(bindingNonce(made, new Uint8Array(16)));
      const state: RecordState = {
        ...emptyState(key, collectionNamed('contracts'), key),
        members: { owner: self, writers: [self], participants: [self], nonce: nonce.toString('hex') },
      };
      const past = new Map([
        ['buyerId', buyers],
        ['supplierId', suppliers],
      ]);
      return bindingOf(state, [], past) !== undefined;
    };
    // The first 64 of either are 4,096 pairs, of which this is the last; then come those with the 65th.
    expect(found(buyers[63], suppliers[63])).toBe(true);
    expect(found(buyers[0], suppliers[64])).toBe(false);
  });
});

it('a statement that is not signed right, or of another contract, changes nothing', async () => {
  const [one, two] = [
    await book.create({ ...deal(1), supplierId: 'ben' }, amina),
    await book.create({ ...deal(2), supplierId: 'ben' }, amina),
  ];
  const proposal = one.held?.statements[0];
  if (proposal === undefined) throw new Error('nothing was proposed');
  const bytes = Buffer.from(proposal.bytes);
  const torn = Buffer.from(bytes);
  torn[torn.length - 1] = (torn.at(-1) ?? 0) ^ 1;
  for (const statement of [bytes, torn])
    await node.ledger.write({
      keys: [two.state.key],
      draft: (pen) => [
        draftFact(
          pen,
          'transitions',
          { statement: statement.toString('base64url'), carried: '...' },
          two.state.key,
        ),
      ],
    });
  await book.stop();
  book = open();
  const after = await book.get(two.state.key, amina);
  expect(after.held?.statements).toHaveLength(1);
  expect(after.held?.verdict).toEqual(two.held?.verdict);
});

it('a statement in another spelling of base64url is as good as not written', async () => {
  const made = await book.create({ ...deal(1), supplierId: 'ben' }, amina);
  const contract = made.state.key;
  const bytes = signTransition(identity, {
    kind: 'cancel',
    net: 'test',
    contract,
    party: `ben@${self}`,
    before: [],
    at: clock,
  });
  const text = base64url(bytes);
  const known = async (statement: string): Promise<number | undefined> => {
    const fields = { statement, carried: '' };
    await node.ledger.write({
      keys: [contract],
      draft: (pen) => [draftFact(pen, 'transitions', fields, contract)],
    });
    await book.stop();
    book = open();
    return (await book.get(contract, amina)).held?.statements.length;
  };
  // What the schema lets through: a bit or a character that stands for nothing.
  const last = ALPHABET.indexOf(text.at(-1) ?? '');
  const other = text.length % 4 === 0 ? `${text}A` : text.slice(0, -1) + (ALPHABET[last ^ 1] ?? '');
  expect(Buffer.from(other, 'base64url').equals(bytes)).toBe(true);
  expect(await known(other)).toBe(1);
  expect(await known(text)).toBe(2);
});

describe('stock', () => {
  it('is known again after a restart, and a hold that is over meanwhile is free', async () => {
    const of = await listing(10);
    const [first, second, third] = [await asked(of, 4), await asked(of, 5), await asked(of, 6)];
    await book.step(first, { kind: 'accept' }, ben);
    await book.step(second, { kind: 'propose', validUntil: clock + 1000 }, ben);
    expect(await left(of)).toBe(1);
    await book.stop();
    book = open();
    await expect(book.step(third, { kind: 'accept' }, ben)).rejects.toMatchObject({ code: 'stock-short' });
    await expect(book.catalogue.patch(of, { quantity: 8 })).rejects.toMatchObject({
      code: 'quantity-granted',
    });
    clock += 1001;
    await book.stop();
    book = open();
    expect(stateOf(await book.step(third, { kind: 'accept' }, ben))).toBe('accepted');
    expect(await left(of)).toBe(0);
    await expect(book.step(second, { kind: 'accept' }, amina)).rejects.toMatchObject({
      code: 'contract-state',
    });
  });

  it('is free at once when the buyer does not want what is held', async () => {
    const of = await listing(10);
    const key = await asked(of, 4);
    await book.step(key, { kind: 'propose', validUntil: clock + 100_000 }, ben);
    expect(await left(of)).toBe(6);
    await book.step(key, { kind: 'cancel' }, amina);
    await book.idle();
    expect(await left(of)).toBe(10);
  });

  it('counts what came back just before a step, however much came back with it', async () => {
    const of = await listing(10);
    const asks: RecordKey[] = [];
    for (let i = 0; i < 8; i++) asks.push(await asked(of, 1));
    const next = await asked(of, 3);
    await book.idle();
    await book.stop();
    await node.close();
    const copy = tempDir('copy-of-book');
    cpSync(dir.path, copy.path, { recursive: true });

    // What this process promises, the copy takes back while a step of its own waits for it.
    node = await openLedgerNode(dir.path, identity, merger);
    book = open();
    for (const key of asks) await book.step(key, { kind: 'accept' }, ben);
    expect(await left(of)).toBe(2);
    const back: Uint8Array[] = [];
    for (const { author, channel, feeds } of node.store.feedGroups()) {
      const known = rangeRequest(author, channel, []);
      if (feeds.length === 0) continue;
      for await (const { kind, bytes } of rangeItems(node.store, known))
        if (kind === 'entry') back.push(bytes);
    }
    await book.stop();
    await node.close();
    node = await openLedgerNode(copy.path, identity, merger, ({ changes }) => book.note(changes));
    book = open({ awaitFence: async () => void (await node.ledger.receive(back)) });
    try {
      await expect(book.step(next, { kind: 'accept' }, ben)).rejects.toMatchObject({ code: 'stock-short' });
    } finally {
      copy.remove();
    }
  });

  it('is shown right after a burst of edits, which share the syncs of the disk', async () => {
    const of = await listing(10);
    await book.step(await asked(of, 4), { kind: 'accept' }, ben);
    const before = node.db.counts.synced;
    const edits = Array.from({ length: 40 }, (_, i) =>
      book.catalogue.patch(of, { quantity: 10 + i, price: i }),
    );
    const saved = await Promise.all(edits);
    expect(saved.map(({ state }) => [state.view['quantity'], state.view['available']])).toEqual(
      saved.map(() => [49, 45]),
    );
    expect(node.db.counts.synced - before).toBe(1);
  });

  it('is not given from a listing that has ended', async () => {
    const of = await listing(10);
    const key = await asked(of, 4);
    await book.catalogue.remove(of);
    await expect(book.step(key, { kind: 'accept' }, ben)).rejects.toMatchObject({ code: 'listing-ended' });
  });
});

it('shared locks run side by side, and never beside what runs alone', async () => {
  const locks = new KeyedQueue();
  const order: string[] = [];
  const task = (name: string) => async (): Promise<void> => {
    order.push(`${name} begins`);
    await new Promise((next) => setImmediate(next));
    order.push(`${name} ends`);
    if (name === 'b') throw new Error(name);
  };
  await Promise.allSettled([
    locks.share('one', task('a')),
    locks.share('one', task('b')),
    locks.run('one', task('alone')),
    locks.share('one', task('c')),
  ]);
  const shared = ['a begins', 'b begins', 'a ends', 'b ends'];
  expect(order).toEqual(shared.concat('alone begins', 'alone ends', 'c begins', 'c ends'));
});

it('locks run one after the other for one name, also after a failure', async () => {
  const locks = new KeyedQueue();
  const order: string[] = [];
  const task = (name: string, fails = false) =>
    locks.run('one', async () => {
      order.push(`${name} begins`);
      await new Promise((next) => setImmediate(next));
      order.push(`${name} ends`);
      if (fails) throw new Error(name);
    });
  await Promise.allSettled([task('a', true), task('b'), locks.run('other', async () => order.push('other'))]);
  expect(order.filter((line) => line !== 'other')).toEqual(['a begins', 'a ends', 'b begins', 'b ends']);
});
