import { expect, it } from 'vitest';
import { erasureStatements, statementsByEntry } from '../../../protocols/ledger/erasure-request.ts';
import type { ErasureStatement } from '../../../protocols/feed/erasure.ts';
import { LIMITS } from '../../../protocols/wire/limits.ts';
import type { PlacedOp } from '../../../protocols/open-dialog/record.ts';
import { recordKey, type RecordKey } from '../../../protocols/wire/ids.ts';
import { filesWith } from '../../support/files-with.ts';
import { startNode, type TestNode } from '../../support/in-process-node.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';
import { waitFor } from '../../support/wait.ts';
import { tempDir } from '../../support/temp-dir.ts';

const MARKER = 'zebra-quartz';
/** More changes than one entry has room for statements. */
const CHANGES = 1_200;

const keyOf = (node: TestNode): RecordKey => recordKey('listings', node.node.identity.peerId, 'maize');
const opsOf = (node: TestNode): Promise<readonly PlacedOp[]> => node.node.store.recordOps(keyOf(node));
/** Entries that still hold a version of it. */
const unerased = async (node: TestNode): Promise<number> =>
  erasureStatements(node.node.identity.peerId, keyOf(node), await opsOf(node), 0).length;

it('a listing that was changed a thousand times is erased, every version of it, by several entries', async () => {
  const dir = tempDir('long-erasure');
  const node = await startNode(dir.path, { RATE_LIMIT: 'off' });
  try {
    const body = { type: 'offer', title: MARKER };
    expect((await node.request('PUT', '/listings/maize', body)).status).toBe(201);
    // One after another, so that each is an entry of its own.
    for (let i = 0; i < CHANGES; i++) {
      const answer = await node.request('PATCH', '/listings/maize', { title: `${MARKER} ${i}` });
      expect(answer.status).toBe(200);
    }
    expect(filesWith(dir.path, MARKER)).not.toEqual([]);
    const erased = await node.request('DELETE', '/listings/maize?erase=true');
    expect([erased.status, await erased.json()]).toMatchObject([200, { erased: true }]);
    expect(filesWith(dir.path, MARKER)).toEqual([]);
    // Each entry is named once, although the first erasure sets off a clearing that asks for what is left; and the end stays.
    expect([(await opsOf(node)).length, await unerased(node)]).toEqual([CHANGES + 1 + 1, 0]);
    expect((await node.request('DELETE', '/listings/maize?erase=true')).status).toBe(200);
    expect((await opsOf(node)).length).toBe(CHANGES + 1 + 1);
  } finally {
    await node.stop();
    dir.remove();
  }
});

it('an erasure by several entries that is cut off goes on by itself, at the next start', async () => {
  const dir = tempDir('cut-erasure');
  let node = await startNode(dir.path, { RATE_LIMIT: 'off' });
  try {
    expect((await node.request('PUT', '/listings/maize', { type: 'offer', title: MARKER })).status).toBe(201);
    for (let i = 0; i < 300; i++) await node.request('PATCH', '/listings/maize', { title: `${MARKER} ${i}` });
    // Only the first entry is written, as if the process had ended then; whatever goes on by itself is refused as well.
    const { ledger, identity } = node.node;
    const write = ledger.write.bind(ledger);
    let written = 0;
    ledger.write = (request) => {
      if (request.keys.length > 0 || ++written === 1) return write(request);
      return Promise.reject(new Error('the process has ended'));
    };
    expect((await node.request('DELETE', '/listings/maize?erase=true')).status).toBe(500);
    expect(written).toBeGreaterThan(1);
    expect(await unerased(node)).toBe(300 + 1 - 256);
    await node.stop();
    node = await startNode(dir.path, { RATE_LIMIT: 'off' }, identity);
    await waitFor('every version to be erased', async () => (await unerased(node)) === 0);
    await waitFor('the disk to be cleared', () => filesWith(dir.path, MARKER).length === 0);
    expect((await opsOf(node)).length).toBe(300 + 1 + 1);
    expect((await node.request('GET', '/listings/maize')).status).toBe(404);
  } finally {
    await node.stop();
    dir.remove();
  }
});

it('statements are divided so that each group fits an entry, and none is left out', () => {
  const statement = (seq: number, ops: number): ErasureStatement => ({
    channel: 'public',
    epoch: '0'.repeat(16),
    seq,
    record: recordKey('listings', nodeOf(1).peerId, 'm'),
    ops: Array.from({ length: ops }, (_, index) => ({ index, hash: 'f'.repeat(64) })),
    time: 0,
  });
  for (const ops of [1, 100, LIMITS.entryOps]) {
    const all = Array.from({ length: 1_500 }, (_, seq) => statement(seq, ops));
    const groups = [...statementsByEntry(all)];
    expect(groups.flat()).toEqual(all);
    for (const group of groups) {
      expect(group.length).toBeLessThanOrEqual(LIMITS.entryOps / 4);
      expect(group.length * (ops * 48 + 768)).toBeLessThanOrEqual(LIMITS.entryBytes / 2 + 768 + ops * 48);
    }
  }
  expect([...statementsByEntry([])]).toEqual([]);
});
