import { existsSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HTTP_LIMITS, PROTOCOL_LIMITS } from '../../../support/limit-groups.ts';
import { ATTACHMENT_CASES } from './attachment-cases.ts';
import { SNAPSHOT_CASES } from './snapshot-cases.ts';
import { Bench } from './bench.ts';
import type { AllCases, BoundaryCase } from './case.ts';
import { CHECKPOINT_CASES } from './checkpoint-cases.ts';
import { ROTATION_CASES } from './rotation-cases.ts';
import { EXCHANGE_CASES } from './exchange-cases.ts';
import { HTTP_CASES } from './http-cases.ts';
import { WIRE_CASES } from './wire-cases.ts';

/*
 * Each limit of the tables in the READMEs one below, at and one above it, over the way the data really travels: off by one, taken and not to be sent on,
 * or refused for another reason than its size shows here. An interval is kept under a clock that only the test moves, and what stands elsewhere is
 * named with its test. A limit without a case does not compile.
 */
const CASES: AllCases = {
  'protocols/wire/limits.ts': WIRE_CASES,
  'protocols/feed/checkpoint.ts': CHECKPOINT_CASES,
  'protocols/rotation/statement.ts': ROTATION_CASES,
  ...EXCHANGE_CASES,
  ...HTTP_CASES,
  ...ATTACHMENT_CASES,
  ...SNAPSHOT_CASES,
};
const root = new URL('../../../../', import.meta.url);
const values = new Map<string, number>(
  Object.entries({ ...HTTP_LIMITS, ...PROTOCOL_LIMITS }).flatMap(([file, [, limits]]) =>
    Object.entries(limits).map(([name, value]) => [`${file} ${name}`, Number(value)] as const),
  ),
);
const cases = Object.entries(CASES).flatMap(([file, limits]) =>
  Object.entries(limits).map(([name, each]: [string, BoundaryCase]) => ({ name: `${file} ${name}`, each })),
);
it('every limit of the tables has its case, and no case is of a limit that is gone', () => {
  expect(cases.map(({ name }) => name).sort()).toEqual([...values.keys()].sort());
});

describe('shown elsewhere', () => {
  const elsewhere = cases.flatMap(({ name, each }) =>
    'shownBy' in each ? [{ name, file: each.shownBy[0], words: each.shownBy[1] }] : [],
  );
  it.each(elsewhere)('$name: $file', ({ file, words }) => {
    expect(existsSync(new URL(file, root)), file).toBe(true);
    expect(readFileSync(new URL(file, root), 'utf8')).toContain(words);
  });
});

describe('one below, at and one above', () => {
  let bench: Bench;
  beforeAll(async () => {
    bench = await Bench.start();
  });
  afterAll(() => bench.stop());

  const sent = cases.flatMap(({ name, each }) => ('send' in each ? [{ name, each }] : []));
  it.each(sent)('$name over $each.over', async ({ name, each }) => {
    if (each.over === 'libp2p') await bench.anotherPeer();
    const limit = values.get(name) ?? Number.NaN;
    const sizes = each.sizes ?? [limit - 1, limit, limit + 1];
    const came: unknown[] = [];
    for (const size of sizes) came.push(await each.send(bench, size));
    expect(came).toEqual(each.gives);
  });
});
