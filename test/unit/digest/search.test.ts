import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  branchAt,
  placeOf,
  PREFIX_LIMITS,
  type PrefixAnswer,
  type PrefixRow,
  readPrefixAnswer,
} from '../../../protocols/digest/prefix.ts';
import { PrefixTree } from '../../../protocols/digest/prefix-tree.ts';
import { findDifferences } from '../../../protocols/digest/search.ts';
import { CpuTurn } from '../../../protocols/wire/cpu-turn.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { sha256Hex } from '../../../protocols/wire/bytes.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';

const owner = identityFromSeed(new Uint8Array(randomBytes(32))).peerId;
const collection = 'listings';
const elementsOf = (records: ReadonlyMap<string, string>) =>
  [...records].map(([id, text]) => ({ id, hash: sha256Hex(text) }));
const rowsOf = (records: ReadonlyMap<string, string>): PrefixRow[] =>
  elementsOf(records)
    .map((element) => ({ place: placeOf(collection, owner, element.id), ...element }))
    .sort((a, b) => (a.place < b.place ? -1 : 1));
const treeOf = (records: ReadonlyMap<string, string>): Promise<PrefixTree> =>
  PrefixTree.of(collection, owner, elementsOf(records), new CpuTurn(systemEnv));

/** Searches as over a wire: every answer is JSON and is read strictly. */
async function search(here: ReadonlyMap<string, string>, there: ReadonlyMap<string, string>) {
  const theirs = rowsOf(there);
  let [requests, bytes] = [0, 0];
  const found = await findDifferences({
    tree: await treeOf(here),
    ask: async (prefix) => {
      const text = JSON.stringify(branchAt(theirs, prefix));
      requests++;
      bytes += text.length;
      return readPrefixAnswer(JSON.parse(text), { collection, owner, prefix });
    },
    parallel: 4,
    most: 100_000,
  });
  return { found, requests, bytes };
}

const records = fc.dictionary(fc.stringMatching(/^[a-z0-9]{1,3}$/), fc.constantFrom('a', 'b'), {
  maxKeys: 120,
  noNullPrototype: true,
});

describe('the search by prefix', () => {
  it('finds exactly what differs, whatever the two sides hold', async () => {
    await fc.assert(
      fc.asyncProperty(records, records, async (one, other) => {
        const [here, there] = [new Map(Object.entries(one)), new Map(Object.entries(other))];
        const { found } = await search(here, there);
        const expected = {
          onlyHere: [...here.keys()].filter((id) => !there.has(id)),
          onlyThere: [...there.keys()].filter((id) => !here.has(id)),
          different: [...here].flatMap(([id, text]) => (there.has(id) && there.get(id) !== text ? [id] : [])),
        };
        for (const name of ['onlyHere', 'onlyThere', 'different'] as const)
          expect(found[name].toSorted()).toEqual(expected[name].sort());
        expect(found.cut).toBe(false);
      }),
      { numRuns: 150 },
    );
  });

  it('finds five of 20,000 in three rounds and few bytes, and nothing in one question', async () => {
    const here = new Map(Array.from({ length: 20_000 }, (_, i) => [`record-${i}`, `text ${i}`]));
    const there = new Map(here);
    expect((await search(here, there)).requests).toBe(1);
    for (const i of [3, 777, 9999]) there.set(`record-${i}`, 'another');
    there.delete('record-5000');
    there.set('new', 'text');
    const { found, requests, bytes } = await search(here, there);
    expect(found.different.toSorted()).toEqual(['record-3', 'record-777', 'record-9999']);
    expect([found.onlyHere, found.onlyThere]).toEqual([['record-5000'], ['new']]);
    // 20,000 in branches of 16: 1 + 5 + 5 + 5 answers at most.
    expect(requests).toBeLessThanOrEqual(16);
    expect(bytes).toBeLessThan(32 * 1024);
  });

  it('finds what stands in branches that only one side has', async () => {
    const here = new Map(Array.from({ length: 500 }, (_, i) => [`r${i}`, 'x']));
    const lost = rowsOf(here).flatMap(({ place, id }) => (/^[5c]/.test(place) ? [id] : []));
    const there = new Map([...here].filter(([id]) => !lost.includes(id)));
    expect(lost.length).toBeGreaterThan(20);
    const [one, other] = [await search(here, there), await search(there, here)];
    expect([one.found.onlyHere.toSorted(), one.found.onlyThere]).toEqual([lost.toSorted(), []]);
    expect([other.found.onlyThere.toSorted(), other.found.onlyHere]).toEqual([lost.toSorted(), []]);
    // Nothing has to be asked about what the other side does not have.
    expect(one.requests).toBe(1);
  });

  it('ends at its bound, and says so', async () => {
    const there = rowsOf(new Map(Array.from({ length: 500 }, (_, i) => [`r${i}`, 'x'])));
    const parts = { tree: await treeOf(new Map()), parallel: 2 };
    const few = await findDifferences({
      ...parts,
      most: 10,
      ask: async (prefix) => branchAt(there, prefix),
    });
    expect([few.onlyThere.length, few.cut]).toEqual([10, true]);
    let left = 3;
    const short = await findDifferences({
      ...parts,
      most: 1000,
      ask: async (prefix) => (left-- > 0 ? branchAt(there, prefix) : undefined),
    });
    expect(short.cut).toBe(true);
  });

  it('ends with a peer whose branches never do: by its depth, or by the questions it may ask', async () => {
    const tree = await treeOf(new Map(Array.from({ length: 500 }, (_, i) => [`r${i}`, 'x'])));
    // Below each branch sixteen others, each as large as all of it was said to be, and none that gives its digest.
    const lie = (prefix: string): unknown => ({
      prefix,
      count: 16_000,
      digest: randomBytes(32).toString('hex'),
      branches: Array.from({ length: 16 }, (_, digit) => ({
        prefix: prefix + digit.toString(16),
        count: 1000,
        digest: randomBytes(32).toString('hex'),
      })),
    });
    let asked = 0;
    const walk = findDifferences({
      tree,
      parallel: 4,
      most: 200,
      ask: async (prefix) =>
        ++asked > 1500
          ? undefined
          : readPrefixAnswer(JSON.parse(JSON.stringify(lie(prefix))), { collection, owner, prefix }),
    });
    expect((await walk).cut).toBe(true);
    // Straight down, one branch at a time: nothing is deeper than a prefix may be.
    const deepest = 'f'.repeat(PREFIX_LIMITS.digits);
    expect(() => readPrefixAnswer(lie(deepest), { collection, owner, prefix: deepest })).toThrow(
      expect.objectContaining({ code: 'prefix-malformed' }),
    );
  });
});

it('a tree answers as its rows do, and again, whatever is asked first', async () => {
  const held = new Map(Array.from({ length: 3000 }, (_, i) => [`r${i}`, String(i)]));
  const [rows, tree] = [rowsOf(held), await treeOf(held)];
  expect(tree.size).toBe(3000);
  for (const prefix of ['a', '', 'ab', 'a', rows[7]?.place.slice(0, 8) ?? '', ''])
    expect(await tree.branch(prefix)).toEqual(branchAt(rows, prefix));
});

describe('an answer of a peer', () => {
  const many = branchAt(rowsOf(new Map(Array.from({ length: 200 }, (_, i) => [`r${i}`, 'x']))), '');
  const few = branchAt(
    rowsOf(
      new Map([
        ['one', 'x'],
        ['two', 'y'],
      ]),
    ),
    '',
  );
  const read = (value: unknown, prefix = ''): PrefixAnswer =>
    readPrefixAnswer(value, { collection, owner, prefix });

  it('is read as it was told', () => {
    for (const answer of [many, few]) expect(read(JSON.parse(JSON.stringify(answer)))).toEqual(answer);
    expect('branches' in many && many.branches.length).toBe(16);
  });

  const branches = 'branches' in many ? many.branches : [];
  const told = 'records' in few ? few.records : [];
  it.each([
    ['nothing', null],
    ['a list', []],
    ['another prefix', { ...many, prefix: 'a' }],
    ['a wrong count', { ...many, count: 7 }],
    ['neither records nor branches', { prefix: '', count: 0, digest: many.digest }],
    ['both', { ...many, records: [] }],
    ['a branch twice', { ...many, branches: [...branches.slice(0, 15), branches[0]] }],
    ['branches in another order', { ...many, branches: branches.toReversed() }],
    [
      'a branch from elsewhere',
      { ...many, branches: branches.map((b) => ({ ...b, prefix: `${b.prefix}0` })) },
    ],
    ['an empty branch', { ...many, count: 0, branches: [{ ...branches[0], count: 0 }] }],
    ['a negative count', { ...few, count: -1 }],
    ['no digest', { ...few, digest: 'x' }],
    ['a digest that its records do not give', { ...few, digest: '0'.repeat(64) }],
    ['a record with an id that is none', { ...few, records: told.map((r) => ({ ...r, id: '../x' })) }],
    ['a record without a hash', { ...few, records: told.map(({ id }) => ({ id })) }],
    ['records in another order', { ...few, records: told.toReversed() }],
  ])('is refused with %s', (_, value) => {
    expect(() => read(value)).toThrow(expect.objectContaining({ code: 'prefix-malformed' }));
  });

  it('is refused when a record stands elsewhere', () => {
    const [row] = rowsOf(new Map([['one', 'x']]));
    const elsewhere = row?.place.startsWith('0') === true ? '1' : '0';
    const { digest } = branchAt(rowsOf(new Map([['one', 'x']])), '');
    const records = [{ id: 'one', hash: sha256Hex('x') }];
    expect(() => read({ prefix: elsewhere, count: 1, digest, records }, elsewhere)).toThrow(
      expect.objectContaining({ code: 'prefix-malformed' }),
    );
  });

  it('is small: the largest that can be is below 8 KiB', () => {
    const rows = rowsOf(
      new Map(Array.from({ length: PREFIX_LIMITS.leaf }, (_, i) => [`${i}`.padStart(64, 'x'), 'x'])),
    );
    expect(JSON.stringify(branchAt(rows, '')).length).toBeLessThan(8192);
  });
});
