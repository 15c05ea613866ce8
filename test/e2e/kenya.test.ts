import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'csv-parse/sync';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { agrinetHere } from '../support/cli.ts';
import { counted, type DigestAnswer, Federation, type Member, sameDigest } from '../support/federation.ts';

// The whole file lies beside the clone where there is one; the trimmed copy ships with the project.
const WHOLE = fileURLToPath(new URL('../../../shared/data/wfp_food_prices_ken.csv', import.meta.url));
const TRIMMED = fileURLToPath(new URL('../data/wfp-kenya-trimmed.csv', import.meta.url));
const isWhole = existsSync(WHOLE);
const file = isWhole ? WHOLE : TRIMMED;

type Row = Readonly<Record<string, string>>;

/** The file read by csv-parse alone: nothing of the importer under test takes part in the count. */
const rows = parse<Row>(readFileSync(file), { columns: true, skip_empty_lines: true }).filter(
  (row) => !(row['date'] ?? '').startsWith('#'),
);

const regionOf = (row: Row): string => ((row['admin1'] ?? '') === '' ? 'unspecified' : (row['admin1'] ?? ''));
const regions = [...new Set(rows.map(regionOf))];
const shares = [
  ['Nairobi'],
  ['Rift Valley'],
  regions.filter((region) => region !== 'Nairobi' && region !== 'Rift Valley'),
];
const shareOf = (row: Row): number => shares.findIndex((share) => share.includes(regionOf(row)));
const columns = (row: Row, names: readonly string[]): string =>
  JSON.stringify(names.map((name) => row[name] ?? ''));

/** Month first in the file, as ISO in the record. */
function isoDate(text: string): string {
  const [month = '', day = '', year] = text.split('/');
  return year === undefined ? text : `${year}-${month.padStart(2, '0')}-${day.padStart(2, '0')}`;
}

const observation = (row: Row): string =>
  JSON.stringify([
    isoDate(row['date'] ?? ''),
    row['admin1'] ?? '',
    row['market'],
    row['commodity'],
    row['unit'],
    row['pricetype'],
    row['priceflag'],
    row['currency'],
    Number(row['price']),
  ]);

const facts = new Set(rows.map((row) => `${shareOf(row)} ${JSON.stringify(Object.values(row))}`)).size;
const listings = new Set(
  rows.map(
    (row) =>
      `${shareOf(row)} ${columns(row, ['currency', 'admin1', 'admin2', 'market', 'commodity', 'unit', 'pricetype'])}`,
  ),
).size;

interface Price {
  readonly date: string;
  readonly admin1?: string;
  readonly market: string;
  readonly commodity: string;
  readonly unit: string;
  readonly priceType: string;
  readonly priceFlag?: string;
  readonly currency: string;
  readonly price: number;
}

/** Every price a node serves, page by page. */
async function servedPrices(member: Member): Promise<string[]> {
  const served: string[] = [];
  let cursor: string | undefined;
  do {
    const query = cursor === undefined ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const page: { prices: Price[]; cursor?: string } = await member.json('GET', `/prices?limit=500${query}`);
    for (const p of page.prices)
      served.push(
        JSON.stringify([
          p.date,
          p.admin1 ?? '',
          p.market,
          p.commodity,
          p.unit,
          p.priceType,
          p.priceFlag ?? '',
          p.currency,
          p.price,
        ]),
      );
    cursor = page.cursor;
  } while (cursor !== undefined);
  return served;
}

interface ImportAnswer {
  readonly prices: { readonly created: number; readonly unchanged: number };
  readonly listings: { readonly created: number; readonly changed: number; readonly unchanged: number };
  readonly refused: number;
}

async function importAll(members: readonly Member[]): Promise<ImportAnswer[]> {
  return Promise.all(
    members.map(async (member, i) => {
      const { code, stdout, stderr } = await agrinetHere(member, [
        'import',
        file,
        '--json',
        '--listings',
        '--user',
        'market',
        '--region',
        ...(shares[i] ?? []),
      ]);
      expect(code, stderr).toBe(0);
      return JSON.parse(stdout) as ImportAnswer;
    }),
  );
}

describe(`three daemons with the ${isWhole ? 'whole' : 'trimmed'} Kenya file, split by region`, () => {
  const federation = new Federation();
  const { members } = federation;
  let state: DigestAnswer;

  beforeAll(async () => {
    for (const region of ['Nairobi', 'Rift Valley', 'Coast']) await federation.add({ REGION: region });
    await federation.registerAll();
  });
  afterAll(() => federation.close());

  it('has the counts that the file is known to have', () => {
    expect(rows.every((row) => shareOf(row) !== -1)).toBe(true);
    if (isWhole) expect({ facts, listings }).toEqual({ facts: 12_189, listings: 895 });
  });

  it('ends with every fact and listing on each, and equal digests', async () => {
    const started = performance.now();
    const answers = await importAll(members);
    state = await sameDigest(
      members,
      60_000,
      (each) => counted(each, 'prices') === facts && counted(each, 'listings') === listings,
    );
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(`${facts} facts and ${listings} listings, equal digests on three daemons after ${seconds} s`);
    expect(answers.every(({ refused }) => refused === 0)).toBe(true);
    expect(answers.reduce((sum, each) => sum + each.prices.created, 0)).toBe(facts);
    expect(answers.reduce((sum, each) => sum + each.listings.created, 0)).toBe(listings);
  }, 120_000);

  it('are offers of the seller that the import named, on every node', async () => {
    for (const member of members) {
      const { listings: some } = await member.json<{ listings: { userId?: string }[] }>(
        'GET',
        '/listings?limit=100',
      );
      expect(some.length).toBeGreaterThan(0);
      expect(new Set(some.map(({ userId }) => userId))).toEqual(new Set(['market']));
    }
  });

  it('serves on each node the very rows of the file', async () => {
    const expected = rows.map(observation).sort();
    for (const member of members) {
      const served = (await servedPrices(member)).sort();
      expect(served.length).toBe(facts);
      expect(served).toEqual(expected);
      const dump = await member.json<{ listings: { id: string }[] }>('GET', '/federation/export');
      expect(new Set(dump.listings.map(({ id }) => id)).size).toBe(listings);
    }
  }, 120_000);

  it('changes nothing when the same is imported again', async () => {
    for (const answer of await importAll(members)) {
      expect(answer.refused).toBe(0);
      expect(answer.prices.created).toBe(0);
      expect(answer.listings).toMatchObject({ created: 0, changed: 0 });
    }
    // The frontiers too: nothing was even written.
    expect(await sameDigest(members, 10_000)).toEqual(state);
  }, 120_000);
});
