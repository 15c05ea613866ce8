import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Merger } from '../../../protocols/open-dialog/merger.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { type LedgerNode, openLedgerNode } from '../../support/ledger-node.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { threadedMerger } from '../../support/merger.ts';

const ben = identityFromSeed(new Uint8Array(32).fill(2)).peerId;
let dir: ReturnType<typeof tempDir>;
let merger: Merger;
let node: LedgerNode;
beforeEach(async () => {
  dir = tempDir('contract');
  merger = threadedMerger();
  node = await openLedgerNode(dir.path, identityFromSeed(new Uint8Array(32).fill(1)), merger);
});
afterEach(async () => {
  await node.close();
  await merger.stop();
  dir.remove();
});

it.each([
  ['public', []],
  ['private', [ben]],
])('a %s contract made twice under one id is one, and what happened meanwhile stays', async (_, parties) => {
  const terms = { title: 'ten bags', buyerId: 'amina', supplierId: `ben@${ben}` };
  const first = await node.catalogue.createContract(terms, parties, 'of-one-request');
  await node.catalogue.patch(first.state.key, { title: 'twenty bags' });
  const again = await node.catalogue.createContract(terms, parties, 'of-one-request');
  expect(again).toMatchObject({ created: false, changed: false });
  expect(again.state.key).toBe(first.state.key);
  expect(again.state.view).toMatchObject({ ...terms, title: 'twenty bags' });
  expect(first.state.channel === 'public').toBe(parties.length === 0);

  const keys = new Set([first.state.key]);
  for (const id of ['of-another', undefined, undefined])
    keys.add((await node.catalogue.createContract(terms, parties, id)).state.key);
  expect(keys.size).toBe(4);
});
