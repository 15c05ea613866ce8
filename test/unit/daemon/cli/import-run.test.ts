import { createReadStream } from 'node:fs';
import { expect, test } from 'vitest';
import { importFile } from '../../../../daemon/cli/import-run.ts';
import type { ImportOptions, ImportSummary, RefusedRow } from '../../../../daemon/cli/import-run.ts';

const data = (name: string): URL => new URL(`../../../data/${name}`, import.meta.url);

interface Sent {
  kind: string;
  id?: string;
  market: string;
}

/** A daemon that keeps what it gets and refuses the market it is told to. */
function fakeDaemon(refusedMarket?: string): {
  post: (body: string) => Promise<Response>;
  held: Map<string, string>;
  sizes: number[];
} {
  const held = new Map<string, string>();
  const sizes: number[] = [];
  const post = async (body: string): Promise<Response> => {
    const records = body.trimEnd().split('\n');
    sizes.push(records.length);
    const refused: { line: number; error: string }[] = [];
    const totals = { created: 0, changed: 0, unchanged: 0 };
    for (const [index, text] of records.entries()) {
      const record = JSON.parse(text) as Sent;
      const key = record.kind === 'price' ? text : (record.id ?? '');
      if (record.market === refusedMarket) refused.push({ line: index + 1, error: 'not \u001b[31mwanted' });
      else if (held.get(key) === text) totals.unchanged += 1;
      else totals[held.has(key) ? 'changed' : 'created'] += 1;
      if (record.market !== refusedMarket) held.set(key, text);
    }
    const lines = [
      { done: records.length, created: 0, unchanged: 0, refused },
      { finished: true, ...totals, refused },
    ];
    return Promise.resolve(new Response(lines.map((line) => `${JSON.stringify(line)}\n`).join('')));
  };
  return { post, held, sizes };
}

async function run(
  name: string,
  post: (body: string) => Promise<Response>,
  options: ImportOptions = {},
): Promise<{ summary: ImportSummary; refused: RefusedRow[] }> {
  const refused: RefusedRow[] = [];
  const source = createReadStream(data(name));
  const summary = await importFile({ source, post }, { ...options, onRefused: (row) => refused.push(row) });
  return { summary, refused };
}

test('every row once, then every listing; the second time nothing changes', async () => {
  const daemon = fakeDaemon();
  const first = await run('wfp-kenya-trimmed.csv', daemon.post, { seller: () => 'amina' });
  expect(first.summary).toEqual({
    kind: 'prices',
    prices: { created: 1499, unchanged: 0 },
    listings: { created: 895, changed: 0, unchanged: 0 },
    refused: 0,
    skipped: 0,
  });
  expect(daemon.held.size).toBe(1499 + 895);
  expect(Math.max(...daemon.sizes)).toBeLessThanOrEqual(2_000);
  const second = await run('wfp-kenya-trimmed.csv', daemon.post, { seller: () => 'amina' });
  expect(second.summary.prices).toEqual({ created: 0, unchanged: 1499 });
  expect(second.summary.listings).toEqual({ created: 0, changed: 0, unchanged: 895 });
});

test('without a seller the prices alone: what a market was seen at is nobody’s offer', async () => {
  const daemon = fakeDaemon();
  const { summary } = await run('wfp-kenya-trimmed.csv', daemon.post);
  expect(summary.prices.created).toBe(1499);
  expect(summary.listings).toEqual({ created: 0, changed: 0, unchanged: 0 });
  expect(daemon.held.size).toBe(1499);
});

test('only the wanted regions; rows without one are "unspecified"', async () => {
  const { summary } = await run('wfp-kenya-trimmed.csv', fakeDaemon().post, {
    wanted: (region) => region === 'unspecified',
  });
  expect(summary.prices.created).toBe(41);
  expect(summary.skipped).toBe(1499 - 41);
});

test('bad rows and refused ones are named by their line in the file, without control characters', async () => {
  const { summary, refused } = await run('bad-rows.csv', fakeDaemon('Hola (Tana River)').post, {
    seller: () => 'amina',
  });
  expect(summary.prices.created).toBe(1);
  expect(refused.slice(0, 13).map(({ line }) => line)).toEqual([
    4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17,
  ]);
  // A price that was refused becomes no listing either.
  expect(refused.slice(13)).toEqual([{ line: 18, reason: 'not ?[31mwanted' }]);
  expect(summary.refused).toBe(14);
});

test('a daemon that refuses, breaks off or answers nonsense ends the import with a clear error', async () => {
  const answering =
    (body: string, status = 200) =>
    async (): Promise<Response> =>
      Promise.resolve(new Response(body, { status }));
  const name = 'wfp-plain-us-dates.csv';
  await expect(run(name, answering('{"error":"disk full","code":"x"}', 507))).rejects.toThrow('disk full');
  await expect(run(name, answering('{"done":1,"refused":[]}\n'))).rejects.toThrow(
    'closed the connection while importing the rows from line 2',
  );
  await expect(run(name, answering('{"done":1}\n{"error":"closing","code":"x"}\n'))).rejects.toThrow(
    'closing',
  );
  await expect(run(name, answering('<html>'))).rejects.toThrow('the daemon sent an unexpected response');
});
