import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { fsck } from '../../../daemon/maintenance.ts';
import { loadSettings } from '../../../daemon/settings.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { ATTACHMENT_LIMITS } from '../../../protocols/market/attachment.ts';
import { sha256Hex } from '../../../protocols/wire/bytes.ts';
import { bytesKey, heldKey } from '../../../storage/attachment-rows.ts';
import { range } from '../../../storage/keyspace.ts';
import { befriend, startNode, TEST_KEY, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { waitFor } from '../../support/wait.ts';

const MOST = ATTACHMENT_LIMITS.attachmentBytes;

describe('attachments under quotas, clocks, damage and forgetting', () => {
  const dirs = [tempDir('quota-a'), tempDir('quota-b')] as const;
  let a: TestNode;
  let b: TestNode;
  /** By how much the wall clock of b is wrong, milliseconds. */
  let wrongBy = 0;
  const env = { ...systemEnv, now: () => systemEnv.now() + wrongBy };
  const QUOTAS = { RATE_LIMIT: 'off', ATTACHMENT_QUOTA_MB: '2', AUTHOR_QUOTA_MB: '2' };

  beforeAll(async () => {
    a = await startNode(dirs[0].path, { RATE_LIMIT: 'off' });
    b = await startNode(dirs[1].path, QUOTAS, undefined, { env });
    await befriend(a, b);
  });
  afterAll(async () => {
    await Promise.all([a, b].map(async (node) => node.stop()));
    for (const dir of dirs) dir.remove();
  });

  const send = (node: TestNode, bytes: Uint8Array): Promise<Response> | Response =>
    node.app.request('/attachments', {
      method: 'POST',
      headers: { 'x-api-key': TEST_KEY },
      body: Buffer.from(bytes),
    });
  /** A listing with these bytes as its picture; the path of the picture. */
  async function pictured(node: TestNode, id: string, bytes: Uint8Array): Promise<string> {
    const sent = await send(node, bytes);
    expect(sent.status, await sent.clone().text()).toBe(201);
    const images = [{ sha256: sha256Hex(bytes) }];
    const put = await node.request('PUT', `/listings/${id}`, { type: 'offer', title: id, images });
    expect(put.status, await put.clone().text()).toBeLessThan(300);
    return `/attachments/listings/${node.peerId}.${id}/${sha256Hex(bytes)}`;
  }
  const arrival = (id: string): Promise<unknown> =>
    waitFor(id, async () => (await b.request('GET', `/listings/${a.peerId}.${id}`)).ok);
  const isHere = async (node: TestNode, bytes: Uint8Array): Promise<boolean> =>
    (await node.node.store.attachments.bytes(sha256Hex(bytes))) !== undefined;

  /** Work of the operator that tells its progress: its last line. */
  async function toTheEnd(path: string): Promise<string> {
    const told = await (await b.request('POST', path, {})).text();
    expect(told).toContain('"finished"');
    return told.trim().split('\n').at(-1) ?? '';
  }

  it('uploads end at the quota of this node, and go on when something is erased', async () => {
    const all = [randomBytes(MOST), randomBytes(MOST)] as const;
    await pictured(b, 'first', all[0]);
    await pictured(b, 'second', all[1]);
    const over = await send(b, randomBytes(1));
    expect([over.status, await over.json()]).toMatchObject([
      507,
      { code: 'attachments-full', message: expect.stringContaining('ATTACHMENT_QUOTA_MB') },
    ]);
    // The same bytes again take no room.
    expect((await send(b, all[0])).status).toBe(201);
    expect((await b.request('DELETE', '/listings/second?erase=true')).status).toBe(200);
    expect(await isHere(b, all[1])).toBe(false);
    expect((await send(b, randomBytes(1000))).status).toBe(201);
    // One that was erased and one of whom an upload waits.
    expect((await b.request('DELETE', '/listings/first?erase=true')).status).toBe(200);
    expect(await isHere(b, all[0])).toBe(true);
  });

  it('what is fetched of an author ends at the quota of that author', async () => {
    const paths: string[] = [];
    for (const id of ['one', 'two']) paths.push(await pictured(a, id, randomBytes(MOST)));
    const small = randomBytes(100);
    const path = await pictured(a, 'small', small);
    await arrival('small');
    const got = [];
    for (const each of paths) got.push(await b.app.request(each));
    // Its entries count too, so that there is no room for both.
    expect(got.map(({ status }) => status)).toEqual([200, 507]);
    expect(await got[1]?.json()).toMatchObject({
      code: 'attachments-full',
      message: expect.stringContaining('agrinet nodes set'),
    });
    expect((await b.app.request(path)).status).toBe(200);
    // There is room again when the author takes one away.
    expect((await a.request('DELETE', '/listings/one?erase=true')).status).toBe(200);
    await waitFor('the other', async () => (await b.app.request(paths[1] ?? '')).status === 200);
  });

  it('what is fetched at the same time ends at the quota as well, and each who asked gets it', async () => {
    expect((await a.request('DELETE', '/listings/two?erase=true')).status).toBe(200);
    const ids = ['p1', 'p2', 'p3', 'p4'];
    const paths: string[] = [];
    for (const id of ids) paths.push(await pictured(a, id, randomBytes(MOST)));
    for (const id of ids) await arrival(id);
    await waitFor('room', async () => (await b.node.store.attachments.charged(a.peerId)) < MOST / 2);
    const { attachments } = a.node.store;
    const bytes = attachments.bytes.bind(attachments);
    const all = Promise.withResolvers<void>();
    let asked = 0;
    const spy = vi.spyOn(attachments, 'bytes').mockImplementation(async (sha256) => {
      if (++asked === ids.length) all.resolve();
      await all.promise;
      return bytes(sha256);
    });
    const got = await Promise.all(paths.map(async (path) => b.app.request(path)));
    spy.mockRestore();
    expect(got.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect(await b.node.store.attachments.charged(a.peerId)).toBeLessThan(2 * MOST);
    for (const id of ids) expect((await a.request('DELETE', `/listings/${id}?erase=true`)).status).toBe(200);
  });

  it('a clock that is two days ahead for a minute drops no upload, whatever asks for a look meanwhile', async () => {
    const waiting = randomBytes(300);
    expect((await send(b, waiting)).status).toBe(201);
    await pictured(b, 'bait', randomBytes(200));
    // Of an earlier process the clock alone knows how old it is.
    await b.stop();
    b = await startNode(dirs[1].path, QUOTAS, b.node.identity, { env });
    wrongBy = 2 * 24 * 60 * 60_000;
    try {
      expect((await b.request('DELETE', '/listings/bait?erase=true')).status).toBe(200);
      await toTheEnd('/scrub');
      expect(await isHere(b, waiting)).toBe(true);
    } finally {
      wrongBy = 0;
    }
    await pictured(b, 'named', waiting);
    expect((await b.request('GET', '/ready')).status).toBe(200);
  });

  it('damage is found by fsck and mended by the scrub; a picture of another node is fetched anew', async () => {
    const own = randomBytes(400);
    const theirs = randomBytes(500);
    const ownPath = await pictured(b, 'own', own);
    const path = await pictured(a, 'theirs', theirs);
    await arrival('theirs');
    expect((await b.app.request(path)).status).toBe(200);
    const { db } = b.node;
    const key = bytesKey(sha256Hex(theirs));
    const flipped = Buffer.from((await db.level.get(key)) ?? []);
    flipped.writeUInt8((flipped.at(-1) ?? 0) ^ 1, flipped.length - 1);
    const orphan = bytesKey(sha256Hex(randomBytes(5)));
    await db.batch(
      [
        { type: 'put', key, value: flipped },
        { type: 'put', key: orphan, value: Buffer.from('nobody') },
        { type: 'del', key: heldKey(sha256Hex(own), '') },
      ],
      true,
    );
    await b.stop();
    const problems = async (): Promise<string[]> => {
      const settings = loadSettings({ DATA_DIR: dirs[1].path, LOG_LEVEL: 'silent' });
      return (await fsck(settings, systemEnv, () => undefined)).problems.map(({ code }) => code).sort();
    };
    expect(await problems()).toEqual([
      'attachment-damaged',
      'attachment-damaged',
      'attachment-surplus',
      'value-damaged',
      'value-damaged',
    ]);
    b = await startNode(dirs[1].path, { RATE_LIMIT: 'off' }, b.node.identity);
    expect(await toTheEnd('/scrub')).toContain('"attachments":3');
    expect([await isHere(b, own), await isHere(b, theirs)]).toEqual([true, false]);
    expect((await b.app.request(ownPath)).status).toBe(200);
    await waitFor('the picture', async () => (await b.app.request(path)).status === 200);
    await b.stop();
    expect(await problems()).toEqual([]);
    b = await startNode(dirs[1].path, { RATE_LIMIT: 'off' }, b.node.identity);
  });

  it('one that is held and damaged is fetched anew also where its author has no room left', async () => {
    const bytes = randomBytes(900);
    const path = await pictured(a, 'full', bytes);
    await arrival('full');
    expect((await b.app.request(path)).status).toBe(200);
    const filler = await pictured(a, 'filler', randomBytes(MOST));
    await arrival('filler');
    expect((await b.app.request(filler)).status).toBe(200);
    await b.node.db.batch([{ type: 'del', key: bytesKey(sha256Hex(bytes)) }], true);
    const setQuota = (quotaMb: number | null) =>
      b.request('POST', `/federation/nodes/${a.peerId}/quota`, { quotaMb });
    expect((await setQuota(1)).status).toBe(200);
    expect((await b.app.request(path)).status).toBe(200);
    expect(await isHere(b, bytes)).toBe(true);
    expect((await setQuota(null)).status).toBe(200);
  });

  it('a record that is erased while its picture is on its way leaves none', async () => {
    const bytes = randomBytes(700);
    const path = await pictured(a, 'going', bytes);
    await arrival('going');
    const { held, release } = hold(bytes);
    const asked = b.app.request(path);
    await held;
    expect((await a.request('DELETE', '/listings/going')).status).toBe(204);
    await waitFor('it to end there', async () => {
      const { status } = await b.request('GET', `/listings/${a.peerId}.going`);
      return status === 404 || status === 410;
    });
    release();
    expect((await asked).status).toBe(200);
    expect(await isHere(b, bytes)).toBe(false);
    expect(await b.node.store.attachments.isHeld(sha256Hex(bytes), 'public')).toBe(false);
  });

  it('a node that stops ends what it fetches, and the request is answered', async () => {
    const bytes = randomBytes(800);
    const path = await pictured(a, 'slow', bytes);
    await arrival('slow');
    const { held, release } = hold(bytes);
    const asked = b.app.request(path);
    await held;
    const stopped = b.stop();
    expect((await asked).status).toBe(503);
    await stopped;
    release();
    b = await startNode(dirs[1].path, { RATE_LIMIT: 'off' }, b.node.identity);
    await waitFor('the picture', async () => (await b.app.request(path)).status === 200, 60_000);
  });

  /** Keeps a from giving these bytes until they are released. */
  function hold(given: Uint8Array): { readonly held: Promise<void>; readonly release: () => void } {
    const begun = Promise.withResolvers<void>();
    const free = Promise.withResolvers<Uint8Array>();
    const asked = vi.spyOn(a.node.store.attachments, 'bytes').mockImplementation(() => {
      begun.resolve();
      return free.promise;
    });
    return {
      held: begun.promise,
      release() {
        asked.mockRestore();
        free.resolve(given);
      },
    };
  }

  it('a node that is forgotten leaves none of its attachments', async () => {
    const bytes = randomBytes(600);
    const path = await pictured(a, 'last', bytes);
    await arrival('last');
    await waitFor('the picture', async () => (await b.app.request(path)).status === 200);
    expect(await b.node.store.attachments.charged(a.peerId)).toBeGreaterThan(0);
    const own = (await b.node.store.attachments.charged(b.peerId)) > 0;
    expect(own).toBe(true);
    expect((await b.request('POST', `/federation/nodes/${a.peerId}/revoke`, {})).status).toBe(200);
    await toTheEnd(`/federation/nodes/${a.peerId}/forget`);
    expect(await isHere(b, bytes)).toBe(false);
    expect(await b.node.store.attachments.charged(a.peerId)).toBe(0);
    for await (const [key, value] of b.node.db.level.iterator(range('attachments', 'h')))
      expect(Buffer.from(value).toString('latin1'), key).not.toContain(a.peerId);
  });
});
