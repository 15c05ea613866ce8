import { askedListings } from '../../api/asked-listings.ts';
import { systemEnv } from '../../daemon/system-env.ts';
import { type StoredWant, WantBook } from '../../daemon/wants/want-book.ts';
import { WantFollower } from '../../daemon/wants/want-follower.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { Database } from '../../storage/database.ts';
import { range } from '../../storage/keyspace.ts';
import { readRecords } from '../../storage/record-rows.ts';
import { ChangedListingRows, WantTable } from '../../storage/want-table.ts';
import type { TestNode } from '../support/in-process-node.ts';
import { loopLine, watchLoop } from '../support/loop-watch.ts';
import { type Question, randomQuestion } from '../support/search-questions.ts';
import { quantile } from './measure.ts';

const USERS = 1000;
/** One less than a node keeps. */
const WANTS = 9999;

/**
 * Searches that many users have saved. Those that are narrow are for goods in a region, up to a price; those that are broad are what searches
 * are here, of which each finds a part of all listings.
 */
export async function saveWants(
  table: WantTable<StoredWant>,
  kind: 'narrow' | 'broad',
  random: () => number,
  states: readonly RecordState[],
): Promise<void> {
  const wants: StoredWant[] = [];
  while (wants.length < WANTS) {
    const query = kind === 'broad' ? randomQuestion(random, states) : narrowQuestion(random, states);
    const n = wants.length;
    if (Object.values(query).includes('NaN') || (query['q'] ?? '') === '') continue;
    wants.push({ id: `want-${n}`, userId: `user-${n % USERS}`, createdAt: 0, after: 0, query });
  }
  await table.change(wants, []);
}

function narrowQuestion(random: () => number, states: readonly RecordState[]): Question {
  const state = states[Math.floor(random() * states.length)];
  const text = (name: string): string => String(state?.view[name] ?? '');
  return {
    q: text('commodity'),
    region: text('region'),
    unit: text('unit'),
    currency: text('currency'),
    priceMax: (Number(text('price')) * (0.5 + random() / 2)).toFixed(2),
  };
}

/**
 * What it costs to hold listings that come together against the wants: all of these are new. What telling costs is not in it: that of
 * every notice.
 */
export async function measureCatchUp(
  kind: string,
  db: Database,
  self: PeerId,
  states: readonly RecordState[],
): Promise<void> {
  const table = new WantTable<StoredWant>(db);
  const rows = new ChangedListingRows();
  await rows.read(db.level);
  rows.follow();
  const env = systemEnv;
  const book = new WantBook({
    table,
    rows,
    asked: (query) => askedListings(query, { reason: () => undefined, active: true }),
    isUser: () => true,
    env,
    refusal: () => undefined,
    warn: console.error,
  });
  await book.load();
  for (let at = 0; at < states.length; at += 500)
    await db.batch(
      rows.rows(
        states.slice(at, at + 500).map((after) => ({ key: after.key, before: undefined, after })),
        env.now(),
      ),
      false,
    );
  let matches = 0;
  const follower = new WantFollower({
    self,
    book,
    table,
    records: (keys) => readRecords(db, keys),
    async raise(notices, beside) {
      matches += notices.length;
      await db.batch([...beside(notices)], false);
      return notices;
    },
    write: (ops) => db.batch(ops, false),
    env,
    warn: console.error,
  });
  const began = performance.now();
  const figures = await watchLoop(() => {
    follower.wake();
    return follower.idle();
  });
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  await follower.stop();
  const each = ((figures.totalCpuMs * 1000) / states.length).toFixed(1);
  console.log(
    `wants, ${kind}: ${states.length} listings against ${book.size}: ${each} us of the main thread a listing, ${(matches / states.length).toFixed(1)} told of each, ${seconds} s`,
  );
  console.log(loopLine(`wants, ${kind}`, figures));
  await db.level.clear(range('wants', 'c'));
}

/** From the request that lists something to the line of who wants it, beside all the wants there are. */
export async function measureMatches({ request, context }: TestNode): Promise<void> {
  const times: number[] = [];
  await request('PATCH', '/users/bench', { displayName: 'Bench' });
  const saved = await request('POST', '/wants', { userId: 'bench', q: 'quincewood' });
  if (!saved.ok) throw new Error(await saved.text());
  for (let n = 0; n < 200; n++) {
    const began = performance.now();
    await request('POST', '/listings', { type: 'offer', title: 'Quincewood' });
    for (let told = 0; told <= n;) {
      told = (await context.notifications.list('bench', 500)).notifications.length;
      if (told <= n) await new Promise((next) => setTimeout(next, 1));
    }
    times.push(performance.now() - began);
  }
  const p = (share: number): string => quantile([...times], share).toFixed(1);
  console.log(`match to its line, from the request on: p50 ${p(0.5)} ms, p95 ${p(0.95)} ms, most ${p(1)} ms`);
}
