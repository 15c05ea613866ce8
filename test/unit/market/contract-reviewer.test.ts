import { expect, it } from 'vitest';
import { HeldContracts } from '../../../protocols/market/contract-book/held-contracts.ts';
import { Reviewer } from '../../../protocols/market/contract-book/reviewer.ts';
import type { BookParts } from '../../../protocols/market/contract-book/types.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

it('contracts that cannot be read are read again by the sweep, and not over and over until then', async () => {
  const failures: unknown[] = [];
  let reads = 0;
  const parts = {
    identity: nodeOf(1),
    reader: {
      all() {
        reads++;
        throw new Error('not open');
      },
    },
    onFailure: (error: unknown) => {
      failures.push(error);
      if (failures.length > 100) void reviewer.stop(); // else this would never end
    },
    now: () => 0,
  } as unknown as BookParts; // nothing else is reached
  const reviewer = new Reviewer(parts, new HeldContracts(parts));
  reviewer.changed(recordKey('contracts', nodeOf(1).peerId, 'one'));
  reviewer.resume();
  await new Promise((resolve) => setImmediate(resolve));
  expect([reads, failures.length]).toEqual([1, 2]);
  reviewer.resume();
  await new Promise((resolve) => setImmediate(resolve));
  expect([reads, failures.length]).toEqual([1, 2]);
  await expect(reviewer.sweep()).rejects.toThrow('not open');
  expect(reads).toBe(2);
});
