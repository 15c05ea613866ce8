/**
 * `npm run bench:search [-- --listings N] [--questions N] [--seed S]`: fills a store, has its listings indexed and asks random
 * searches. Throws when one finds other than what a look at every listing finds. Tells what the index costs a listing on the main thread and
 * on the disk, what 10,000 saved searches cost it, how long first pages take beside plain pages of the list in the same run, and how soon a
 * match is told.
 */
import { parseArgs } from 'node:util';
import { SCRUB_LIMITS } from '../../daemon/scrub/limits.ts';
import { systemEnv } from '../../daemon/system-env.ts';
import { wordsOf } from '../../protocols/market/search-words.ts';
import { isLive, type RecordState } from '../../protocols/open-dialog/record.ts';
import { identityFromSeed } from '../../protocols/wire/identity.ts';
import { Database } from '../../storage/database.ts';
import { range } from '../../storage/keyspace.ts';
import { readRecords } from '../../storage/record-rows.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import { SearchIndex } from '../../storage/search/search-index.ts';
import { WantTable } from '../../storage/want-table.ts';
import { startNode, type TestNode } from '../support/in-process-node.ts';
import { seededRandom } from '../support/random.ts';
import { bruteForce, type Question, randomQuestion } from '../support/search-questions.ts';
import { fillStore } from './fill-store.ts';
import { listingRecords, pricesFile } from './listings.ts';
import { progress, quantile, temporaryFolder } from './measure.ts';
import { measureCatchUp, measureMatches, saveWants } from './wants.ts';

const { values } = parseArgs({
  options: {
    listings: { type: 'string', default: '100000' },
    questions: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
  },
});
const count = Number(values.listings);
const identity = identityFromSeed(new Uint8Array(32).fill(Number(values.seed)));
const random = seededRandom(Number(values.seed));
const DAY_MS = 24 * 60 * 60_000;
const temporary = temporaryFolder('search');

interface Page {
  readonly listings: readonly { readonly id: string }[];
  readonly cursor?: string;
}

async function ask({ app }: TestNode, query: Question): Promise<{ page: Page; ms: number; cpuMs: number }> {
  const started = performance.now();
  const before = process.threadCpuUsage();
  const answer = await app.request(`/listings?${new URLSearchParams(query).toString()}`);
  const page = (await answer.json()) as Page;
  const { user, system } = process.threadCpuUsage(before);
  if (!answer.ok) throw new Error(`${JSON.stringify(query)}: ${JSON.stringify(page)}`);
  return { page, ms: performance.now() - started, cpuMs: (user + system) / 1000 };
}

/** What following the changes costs when each is told of as it is committed, and what is on the disk then. */
async function measureIndex(): Promise<void> {
  const db = await Database.open(temporary.path, systemEnv);
  const numbers = new WeakMap<RecordState, number>();
  const index = new SearchIndex({ db, changeOf: (state) => numbers.get(state), warn: console.error });
  // What it would read from the disk is none of it: only what it is told of counts.
  const changes = await db.level.iterator(range('changes')).all();
  await db.level.clear(range('changes'));
  index.start();
  await index.idle();
  await db.level.batch(changes.map(([key, value]) => ({ type: 'put', key, value })));
  let us = 0;
  for (let at = 0; at < changes.length; at += 500) {
    // As a commit has them: just made.
    const some = changes.slice(at, at + 500);
    const keys = some.map(([, value]) => Buffer.from(value).toString() as RecordKey);
    const states = await readRecords(db, keys);
    const told = states.flatMap((after, i) => {
      if (after === undefined) return [];
      numbers.set(after, at + i + 1);
      return [{ key: after.key, before: undefined, after }];
    });
    const before = process.threadCpuUsage();
    index.note(told);
    await index.idle();
    const { user, system } = process.threadCpuUsage(before);
    us += user + system;
  }
  let bytes = 0;
  for await (const [key, value] of db.level.iterator(range('search'))) bytes += key.length + value.length;
  await db.level.compactRange('\0', '\u{10ffff}');
  const { gte, lt } = range('search');
  const disk = await db.level.approximateSize(gte, lt);
  await index.stop();
  await db.close();
  const each = (us / changes.length).toFixed(1);
  console.log(
    `index: ${each} us of the main thread and ${(disk / changes.length).toFixed(0)} B of disk a listing (${(bytes / changes.length).toFixed(0)} B uncompressed)`,
  );
}

/** What wants cost; they are there for all that follows. */
async function measureWants(): Promise<void> {
  const db = await Database.open(temporary.path, systemEnv);
  const keys = (await db.level.values(range('changes')).all()).map(
    (value) => Buffer.from(value).toString() as RecordKey,
  );
  const states = (await readRecords(db, keys)).filter((state) => state !== undefined);
  for (const kind of ['broad', 'narrow'] as const) {
    await saveWants(new WantTable(db), kind, seededRandom(Number(values.seed)), states);
    await measureCatchUp(kind, db, identity.peerId, states);
  }
  await db.close();
}

async function measureSearches(node: TestNode, states: readonly RecordState[]): Promise<void> {
  const known = new WeakMap<RecordState, ReadonlySet<string>>();
  const wordsIn = (state: RecordState): ReadonlySet<string> => {
    const words =
      known.get(state) ??
      new Set(
        wordsOf(
          ['title', 'description', 'commodity'].map((name) => String(state.view[name] ?? '')).join('\n'),
        ),
      );
    known.set(state, words);
    return words;
  };
  const [searched, plain]: [number[], number[]] = [[], []];
  const cpu: number[] = [];
  let [found, cursor]: [number, string | undefined] = [0, undefined];
  for (let i = 0; i < Number(values.questions); i++) {
    const question = randomQuestion(random, states);
    const list = await ask(node, { limit: '50', ...(cursor === undefined ? {} : { cursor }) });
    plain.push(list.ms);
    cursor = list.page.cursor;
    const first = await ask(node, { ...question, limit: '50' });
    searched.push(first.ms);
    cpu.push(first.cpuMs);
    const ids: string[] = [];
    for (let page = first.page, from: string | undefined = ''; ;) {
      ids.push(...page.listings.map(({ id }) => id));
      from = page.cursor;
      if (from === undefined) break;
      ({ page } = await ask(node, { ...question, limit: '500', cursor: from }));
    }
    const wanted = bruteForce(question, states, wordsIn).map(({ key }) =>
      key.replace('listings/', '').replace('/', '.'),
    );
    if (JSON.stringify(ids.toSorted()) !== JSON.stringify(wanted.toSorted()))
      throw new Error(`${JSON.stringify(question)}: ${ids.length} found, ${wanted.length} are there`);
    found += ids.length;
    if (i % 100 === 99) progress(`${i + 1} searches`);
  }
  const p = (times: readonly number[], share: number): string => quantile([...times], share).toFixed(1);
  console.log(`recall 1.0 for ${values.questions} searches over ${states.length} listings, ${found} found`);
  console.log(
    `first page of a search: p50 ${p(searched, 0.5)} ms, p95 ${p(searched, 0.95)} ms; CPU p50 ${p(cpu, 0.5)} ms, p95 ${p(cpu, 0.95)} ms`,
  );
  console.log(
    `plain page of the list: p50 ${p(plain, 0.5)} ms, p95 ${p(plain, 0.95)} ms; ratio of the p95 ${(quantile(searched, 0.95) / quantile(plain, 0.95)).toFixed(1)}`,
  );
}

try {
  const listings = listingRecords(pricesFile(), 12_000);
  await fillStore(
    temporary.path,
    { owner: identity.peerId, seed: Number(values.seed), listings, listingCount: count, priceCount: 0 },
    () => undefined,
  );
  await measureIndex();
  await measureWants();
  // No scrub: the store has no feeds, and it would take the records out.
  const env = {
    ...systemEnv,
    after: (...[ms, ...rest]: Parameters<typeof systemEnv.after>) =>
      systemEnv.after(ms === SCRUB_LIMITS.firstMs ? DAY_MS : ms, ...rest),
  };
  const node = await startNode(temporary.path, { RATE_LIMIT: 'off' }, identity, { env });
  try {
    const states: RecordState[] = [];
    for await (const state of node.context.reader.all('listings')) if (isLive(state)) states.push(state);
    for (let isBehind = true; isBehind;) {
      const { headers } = await node.app.request('/listings?q=maize');
      isBehind = headers.has('warning');
    }
    await measureSearches(node, states);
    await measureMatches(node);
  } finally {
    await node.stop();
  }
} finally {
  temporary.close();
}
