import { join as joinPath } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemEnv } from '../../daemon/system-env.ts';
import { Database } from '../../storage/database.ts';
import { sublevelOf } from '../../storage/keyspace.ts';
import { agrinetHere } from '../support/cli.ts';
import { join } from '../support/daemon.ts';
import { Federation, type Member } from '../support/federation.ts';
import { filesWith } from '../support/files-with.ts';
import { hookServer } from '../support/hook-server.ts';
import { linesOf, type MarketUser, marketUser, userWith } from '../support/market-users.ts';
import { ResumingListener } from '../support/resuming-listener.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait.ts';

// Words that are nowhere else, so that a raw search for them means something.
const LABEL = 'ochre-lagoon-mill';
const WORD = 'zebrawood';
const PASSPHRASE = { BACKUP_PASSPHRASE: 'seven grey herons over the lagoon' };
const SECRET = 'c0de-of-the-hook-9f31b7e2aa';

const federation = new Federation();
const copy = tempDir('wants-restored');
let hook: Awaited<ReturnType<typeof hookServer>>;
let env: Record<string, string>;
let here: Member;
let other: Member;
let amina: MarketUser;
let mary: MarketUser;

beforeAll(async () => {
  hook = await hookServer(SECRET);
  env = {
    NOTICE_WEBHOOK_URLS: hook.url,
    FEDERATION_WEBHOOK_SECRET: SECRET,
    LOG_LEVEL: 'trace',
    API_KEY: 'the-key-of-a-node-that-starts-again',
  };
  here = await federation.add(env);
  other = await federation.add();
  await join(here, other);
  amina = await marketUser(here, 'amina');
  mary = await marketUser(other, 'mary');
});
afterAll(async () => {
  await federation.close();
  hook.close();
  copy.remove();
});

interface Made {
  readonly id: string;
}
const offer = (user: MarketUser, title: string, more: Record<string, unknown> = {}): Promise<Made> =>
  user.json('POST', '/listings', { type: 'offer', title, ...more });
/** Ids of the listings that `amina` was told of, by want. */
async function toldOf(want: Made, user = amina): Promise<string[]> {
  const lines = await linesOf({ ...user, daemon: here });
  return lines
    .flatMap(({ about }) => (about?.['wantId'] === want.id ? [about['listingId'] ?? ''] : []))
    .toSorted();
}
/** Deliveries of a listing, each as often as it is another one. */
const deliveries = (listingId: string): string[] => [
  ...new Set(
    hook.posted.flatMap(({ body, delivery }) => {
      const { about } = body.data as { about: Record<string, string> };
      return about['listingId'] === listingId ? [delivery] : [];
    }),
  ),
];
const again = async (dir: string): Promise<void> => {
  here = await federation.start(dir, env);
  amina = userWith(here, 'amina', amina.key);
};

it('a listing of another node is told within two seconds: one line, one event, one webhook', async () => {
  const listener = new ResumingListener(`${here.url}/events?types=notification`, amina.key);
  try {
    await waitFor('the listener', () => listener.connected);
    const want = await amina.json<Made>('POST', '/wants', { q: 'mahindi', region: 'Nyanza' });
    const times: number[] = [];
    for (let n = 0; n < 10; n++) {
      const began = performance.now();
      const { id } = await offer(mary, `Maize ${n}`, { region: 'nyanza', quantity: 5, unit: 'kg' });
      await offer(mary, `Maize ${n} elsewhere`, { region: 'Coast' });
      const heard = await waitFor('the event', () =>
        listener.heard.find(({ data }) => (data['about'] as Record<string, string>)['listingId'] === id),
      );
      expect(heard.data).toMatchObject({ kind: 'want', about: { wantId: want.id, listingId: id } });
      expect(heard.data['message']).toBe(`New for your search "mahindi": 5 kg Maize ${n}.`);
      times.push(heard.at - began);
    }
    console.log(`told after ${times.map((ms) => ms.toFixed(0)).join(', ')} ms`);
    const told = await toldOf(want);
    expect(listener.heard.length).toBe(10);
    expect(told.length).toBe(10);
    await waitFor('the webhooks', () => hook.posted.length >= 10, 30_000);
    expect(new Set(hook.posted.map(({ delivery }) => delivery)).size).toBe(10);
    expect(hook.posted.every(({ signed, body }) => signed && body.type === 'notification')).toBe(true);
    await amina.json('GET', `/wants/${want.id}`);
    await amina.request('DELETE', `/wants/${want.id}`);
  } finally {
    await listener.close();
  }
});

it('what is imported is told, a rebuild and a restore tell nothing again and forget no want', async () => {
  const before = await offer(mary, 'Sesame of before');
  await waitFor('it', async () => (await here.request('GET', `/listings/${before.id}`)).ok);
  const want = await amina.json<Made>('POST', '/wants', { q: 'sesame', label: 'Oil' });
  const imported = await fetch(`${here.url}/import`, {
    method: 'POST',
    headers: { 'x-api-key': here.apiKey, 'content-type': 'application/x-ndjson' },
    body: JSON.stringify({ kind: 'listing', id: 'imported', type: 'offer', title: 'Sesame' }),
  });
  expect(imported.status).toBe(200);
  const ids = [`${here.peerId}.imported`];
  await waitFor('it to be told', async () => (await toldOf(want)).length === 1);
  expect(await toldOf(want)).toEqual(ids);
  await waitFor('its webhook', () => deliveries(ids[0] ?? '').length > 0, 30_000);

  const { dir } = here;
  const file = joinPath(copy.path, 'backup');
  expect(
    await agrinetHere(here, ['backup', file, '--with-keys'], { DATA_DIR: dir, ...PASSPHRASE }),
  ).toMatchObject({
    code: 0,
  });
  await here.stop();
  expect(await agrinetHere(undefined, ['rebuild'], { DATA_DIR: dir })).toMatchObject({ code: 0 });
  await again(dir);
  for (const round of ['rebuilt', 'restored']) {
    const { id } = await offer(mary, `Sesame, ${round}`);
    ids.push(id);
    await waitFor('it to be told', async () => (await toldOf(want)).includes(id), 60_000);
    await waitFor('its webhook', () => deliveries(id).length > 0, 30_000);
    const found = await toldOf(want);
    expect(found, round).toEqual(round === 'rebuilt' ? ids.toSorted() : [...ids].toSorted());
    const { wants } = await amina.json<{ wants: Made[] }>('GET', '/wants');
    expect(wants.map((each) => each.id)).toEqual([want.id]);
    if (round === 'restored') break;
    await here.stop();
    const restored = joinPath(copy.path, 'data');
    expect(
      await agrinetHere(undefined, ['restore', file], { DATA_DIR: restored, ...PASSPHRASE }),
    ).toMatchObject({
      code: 0,
    });
    await again(restored);
    // What came after the backup comes again, to a node that does not know that it was told.
    await waitFor('what came meanwhile', async () => (await toldOf(want)).length === ids.length, 60_000);
    const repeats = (await linesOf(amina)).filter(({ possibleRepeat }) => possibleRepeat === true);
    expect(repeats.map(({ about }) => about?.['listingId'])).toEqual([id]);
  }
  // The list, which had lost it, has it again; nobody is sent it twice.
  for (const id of ids) expect(deliveries(id), id).toHaveLength(1);
}, 180_000);

it('the command line saves, lists and deletes them', async () => {
  const run = (...args: string[]) => agrinetHere(here, ['wants', ...args]);
  const added = await run('add', '--user', 'amina', '--label', 'Pulses', 'q=green grams&unit=kg', '--json');
  expect(added.code).toBe(0);
  const { id } = JSON.parse(added.stdout) as Made;
  const { stdout } = await run('--user', 'amina');
  for (const text of [id, 'Pulses', 'q=green grams&unit=kg']) expect(stdout).toContain(text);
  expect(await run('remove', id, '--user', 'amina')).toMatchObject({ code: 0 });
  expect((await run('list', '--user', 'amina')).stdout).not.toContain(id);
  expect(await run('remove', id, '--user', 'amina')).not.toMatchObject({ code: 0 });
  expect(await run('add', '--user', 'amina', 'maize')).toMatchObject({ code: 2 });
  expect(await run('list')).toMatchObject({ code: 2 });
  expect((await run('add', '--user', 'amina', 'colour=red')).stderr).toContain('colour');
});

it('what is wanted is in no entry, export, metric, log or other node: only in the own rows of its user', async () => {
  const want = await amina.json<Made>('POST', '/wants', { q: `${WORD} maize*`, label: LABEL });
  const { id } = await offer(mary, `Maize ${WORD.split('').toReversed().join('')}`);
  await waitFor('it', async () => (await here.request('GET', `/listings/${id}`)).ok);
  const shared = await amina.json<Made>('POST', '/wants', { q: 'teak', label: LABEL });
  const { id: teak } = await offer(mary, 'Teak');
  await waitFor('it to be told', async () => (await toldOf(shared)).includes(teak));
  expect(await toldOf(want)).toEqual([]);
  const answers = await Promise.all(
    ['/federation/export', '/metrics', '/logs?limit=1000', '/openapi.json', '/jobs', '/wants'].map(
      async (path) => (await here.request('GET', path)).text(),
    ),
  );
  for (const text of [WORD, LABEL]) {
    for (const answer of answers.slice(0, 4)) expect(answer).not.toContain(text);
    expect(here.output()).not.toContain(text);
    expect(filesWith(other.dir, text)).toEqual([]);
  }
  await here.stop();
  const db = await Database.open(here.dir, systemEnv);
  const holding = { [WORD]: new Set<string>(), [LABEL]: new Set<string>() };
  try {
    for await (const [key, value] of db.level.iterator())
      for (const [text, tables] of Object.entries(holding))
        if (Buffer.from(value).includes(text)) tables.add(sublevelOf(key) ?? key);
  } finally {
    await db.close();
  }
  expect([...(holding[WORD] ?? [])]).toEqual(['wants']);
  // The notice names it so, to its user and where the operator has notices posted.
  for (const table of holding[LABEL] ?? [])
    expect(['wants', 'notifications', 'privateEvents', 'pendingNotices', 'jobs']).toContain(table);
});
