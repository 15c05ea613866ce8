import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { seededRandom } from '../support/random.ts';
import { tempDir } from '../support/temp-dir.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const ROUNDS = 8;
const AT_ONCE = 40;

interface Made {
  readonly status: number;
  readonly id: string;
}

/** One POST under a key; undefined when the daemon died before it answered. */
async function post(
  daemon: Daemon,
  path: string,
  key: string,
  body: Record<string, unknown>,
): Promise<Made | undefined> {
  try {
    const response = await fetch(daemon.url + path, {
      method: 'POST',
      headers: {
        'x-api-key': daemon.apiKey,
        'content-type': 'application/json',
        'idempotency-key': key,
      },
      body: JSON.stringify(body),
    });
    const made = (await response.json()) as { id?: string };
    return { status: response.status, id: made.id ?? '' };
  } catch {
    return undefined; // killed between: whether it was done, the repetition shows
  }
}

/** The titles of all records of a list. */
async function titlesOf(daemon: Daemon, list: 'listings' | 'contracts'): Promise<string[]> {
  const titles: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await daemon.json<{ cursor?: string } & Record<string, { title: string }[]>>(
      'GET',
      `/${list}?limit=500${cursor === undefined ? '' : `&cursor=${encodeURIComponent(cursor)}`}`,
    );
    titles.push(...(page[list] ?? []).map(({ title }) => title));
    cursor = page.cursor;
  } while (cursor !== undefined);
  return titles;
}

it(`an Idempotency-Key makes one record, however often the daemon is killed between (seed ${seed})`, async () => {
  const random = seededRandom(seed);
  const dir = tempDir('idempotency');
  const API_KEY = randomBytes(24).toString('base64url');
  let daemon = await startDaemon(dir.path, { API_KEY });
  let lost = 0;
  try {
    const wanted: string[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const requests = Array.from({ length: AT_ONCE }, (_, i) => {
        const title = `${round}-${i}`;
        wanted.push(title);
        return i % 2 === 0
          ? { path: '/listings', key: `k-${title}`, body: { type: 'offer', title } }
          : { path: '/contracts', key: `k-${title}`, body: { buyerId: 'amina', supplierId: 'ben', title } };
      });
      const send = (of: Daemon) =>
        Promise.all(requests.map(({ path, key, body }) => post(of, path, key, body)));
      const sending = send(daemon);
      await new Promise((next) => setTimeout(next, 2 + random() * 40)); // the moment of death is what varies
      await daemon.stop('SIGKILL');
      const first = await sending;
      lost += first.filter((made) => made === undefined).length;
      daemon = await startDaemon(dir.path, { API_KEY });
      const second = await send(daemon);
      for (const [i, made] of second.entries()) {
        expect(made?.status, `${requests[i]?.path} ${made?.id}`).toBe(201);
        // Whoever had an answer gets the same one.
        if (first[i] !== undefined) expect(made).toEqual(first[i]);
      }
      expect(await send(daemon)).toEqual(second);
    }
    expect(lost, 'requests that a kill cut off').toBeGreaterThan(0);
    const titles = [...(await titlesOf(daemon, 'listings')), ...(await titlesOf(daemon, 'contracts'))];
    expect(titles.toSorted()).toEqual(wanted.toSorted());
  } finally {
    await daemon.stop();
    dir.remove();
  }
}, 120_000);
