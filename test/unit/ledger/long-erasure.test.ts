import { expect, it } from 'vitest';
import { statementsByEntry } from '../../../protocols/ledger/erasure-request.ts';
import type { ErasureStatement } from '../../../protocols/feed/erasure.ts';
import { LIMITS } from '../../../protocols/wire/limits.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { filesWith } from '../../support/files-with.ts';
import { startNode } from '../../support/in-process-node.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';
import { tempDir } from '../../support/temp-dir.ts';

const MARKER = 'zebra-quartz';
/** More changes than one entry has room for statements. */
const CHANGES = 1_200;

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
    const key = recordKey('listings', node.node.identity.peerId, 'maize');
    const ops = async (): Promise<number> => (await node.node.store.recordOps(key)).length;
    expect(await ops()).toBe(CHANGES + 1 + 1);
    expect((await node.request('DELETE', '/listings/maize?erase=true')).status).toBe(200);
    expect(await ops()).toBe(CHANGES + 1 + 1);
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
