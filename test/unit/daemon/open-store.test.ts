import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { rebuildStore } from '../../../daemon/rebuild.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { headText } from '../../../storage/head-file.ts';
import { Database } from '../../../storage/database.ts';
import { fullKey, range } from '../../../storage/keyspace.ts';
import { readRejoin } from '../../../storage/rejoin-note.ts';
import { jsonWithChecksum, verifiedJson } from '../../../storage/values.ts';
import { VERSION } from '../../../storage/migrations.ts';
import { catalogueDigest } from '../../support/catalogue-digest.ts';
import { startNode } from '../../support/in-process-node.ts';
import { openLedgerNode } from '../../support/ledger-node.ts';
import { Hand, listingOps } from '../../support/forge.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { threadedMerger } from '../../support/merger.ts';

let dir: ReturnType<typeof tempDir>;
beforeEach(() => {
  dir = tempDir('open-store');
});
afterEach(() => dir.remove());

it('after an upgrade of the schema everything is judged anew, and the result is the same', async () => {
  const identity = identityFromSeed(randomBytes(32));
  const first = await startNode(dir.path, {}, identity);
  await first.request('POST', '/listings', { type: 'offer', title: 'Maize', id: 'maize' });
  const digest = catalogueDigest(await (await first.request('GET', '/federation/digest')).json());
  await first.stop();

  // As an older version would have left it: its schema stamped, and a view that it derived differently.
  const db = await Database.open(dir.path, systemEnv);
  const schema = fullKey('meta', 'schema');
  await db.batch([{ type: 'put', key: schema, value: jsonWithChecksum(schema, 0) }], true);
  for await (const key of db.level.keys(range('index'))) await db.level.del(key);
  await db.close();

  const again = await startNode(dir.path, {}, identity);
  expect(catalogueDigest(await (await again.request('GET', '/federation/digest')).json())).toBe(digest);
  const listed = await again.app.request('/listings?type=offer');
  expect(((await listed.json()) as { listings: unknown[] }).listings).toHaveLength(1);
  expect(again.node.alarms.list()).toEqual([]);
  await again.stop();
});

it('verdicts in the words of layout 3 are derived anew in today’s', async () => {
  const merger = threadedMerger();
  const author = new Hand(nodeOf(2), '00000000000000aa');
  const fill = await openLedgerNode(dir.path, nodeOf(1), merger);
  const pen = author.pen;
  const [create = new Uint8Array(0)] = listingOps(pen, 'a', undefined, { title: 'Maize' });
  const [result] = await fill.ledger.receive([author.next([Uint8Array.of(1, 2), create]).bytes]);
  expect(result?.kind).toBe('accept');
  const digest = fill.digestOf(author.identity.peerId);
  await fill.close();

  const db = await Database.open(dir.path, systemEnv);
  const [[key, row] = ['']] = await db.level.iterator(range('verdicts')).all();
  if (row === undefined) throw new Error('no verdict is listed');
  const said = { state: 'void', code: 'op-malformed' };
  const old = { ...verifiedJson<object>(key, row), verdict: said };
  await db.level.put(key, jsonWithChecksum(key, old));
  await db.level.put(VERSION, jsonWithChecksum(VERSION, 3));
  await db.close();

  const node = await openLedgerNode(dir.path, nodeOf(1), merger);
  const rows = await node.db.level.iterator(range('verdicts')).all();
  expect(rows.map(([at, value]) => verifiedJson<{ verdict: object }>(at, value).verdict)).toEqual([
    { state: 'rejected', code: 'op-malformed' },
  ]);
  expect(node.digestOf(author.identity.peerId)).toBe(digest);
  await node.close();
  await merger.stop();
});

describe('a loss outlives the process that found it, however soon that one ends', () => {
  const identity = identityFromSeed(randomBytes(32));
  const merger = threadedMerger();
  afterAll(() => merger.stop());
  const seller = async (): Promise<void> => {
    const node = await openLedgerNode(dir.path, identity, merger);
    for (const title of ['Maize', 'Beans']) await node.catalogue.createListing({ type: 'offer', title });
    await node.close();
  };
  const noted = async (): Promise<string | undefined> => {
    const db = await Database.open(dir.path, systemEnv);
    const recovery = await readRejoin(db, 0);
    await db.close();
    return recovery?.cause;
  };

  it('a short tail', async () => {
    await seller();
    expect(await noted()).toBeUndefined();
    writeFileSync(join(dir.path, 'head'), headText(999));
    await (await openLedgerNode(dir.path, identity, merger)).close();
    expect(await noted()).toBe('tail-lost');
  });

  it('entries that a rebuild took out before it was cut off', async () => {
    await seller();
    const db = await Database.open(dir.path, systemEnv);
    const [last] = await db.level.keys({ ...range('entries'), reverse: true, limit: 1 }).all();
    if (last === undefined) throw new Error('no entries');
    const value = Uint8Array.from((await db.level.get(last)) ?? []);
    value[value.length - 1] = (value.at(-1) ?? 0) ^ 1;
    await db.level.put(last, value);
    const cutOff = rebuildStore(db, merger, () => {
      throw new Error('killed');
    });
    await expect(cutOff).rejects.toThrow('killed');
    await db.close();
    await (await openLedgerNode(dir.path, identity, merger)).close();
    expect(await noted()).toBe('repaired');
  });
});
