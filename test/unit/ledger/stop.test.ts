import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, it, vi } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { decodeOp } from '../../../protocols/feed/op.ts';
import { makeForkProof } from '../../../protocols/feed/fork.ts';
import { draftErasure } from '../../../protocols/ledger/drafts.ts';
import { erasureStatements } from '../../../protocols/ledger/erasure-request.ts';
import { placedOps } from '../../../protocols/ledger/placed-ops.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { Store } from '../../../storage/store.ts';
import { Hand, listingOps, openLedger } from '../../support/forge.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

const folder = tempDir('ledger-stop');
afterAll(() => folder.remove());

const OFFER = { type: 'offer', status: 'active', title: 'Maize' };
/** As long as whatever went on would need to show. */
const AFTER_MS = 200;

/** All that the ledger asks of the store from now on, by name. */
function watched(store: Store): string[] {
  const asked: string[] = [];
  for (const name of Object.getOwnPropertyNames(Store.prototype)) {
    const of = Object.getOwnPropertyDescriptor(Store.prototype, name)?.value as unknown;
    if (name === 'constructor' || typeof of !== 'function') continue;
    vi.spyOn(store, name as 'entry').mockImplementation((...what: unknown[]) => {
      asked.push(name);
      return of.apply(store, what) as never;
    });
  }
  return asked;
}

it('stopped in the middle of any work, the ledger ends it, begins no other, and never touches the store again', async () => {
  const owner = nodeOf(1);
  const hand = new Hand(owner, 'a'.repeat(16));
  const first = hand.next(
    Array.from({ length: 300 }, (_, i) => listingOps(hand.pen, `${i}`, undefined, OFFER)).flat(),
  );
  const other = hand.sign(listingOps(hand.pen, 'other', undefined, OFFER), { seq: 1, prev: null });
  const key = recordKey('listings', owner.peerId, '0');
  const [statement] = erasureStatements(owner.peerId, key, placedOps(first).slice(0, 1), 1);
  if (statement === undefined) throw new TypeError('nothing to erase');
  const [op] = draftErasure(owner, 'public', [statement]).ops;
  const erasure = op && decodeOp(op)?.d;
  if (erasure === undefined) throw new TypeError('no statement');

  const node = await openLedger(folder.path, nodeOf(2), systemEnv.now);
  node.followStates.set(owner.peerId, 'followed');
  const asks = [
    () => node.ledger.receive([first.bytes]),
    () => node.ledger.receiveErasure(erasure),
    () => node.ledger.receiveProof(makeForkProof(first, other).bytes),
    () =>
      node.ledger.write({
        keys: [],
        draft: (pen) => [{ key, channel: 'public', ops: listingOps(pen, 'own', undefined, OFFER) }],
      }),
    () => node.ledger.mergeAgain(key),
    () => node.ledger.alone(async () => undefined),
  ];
  const asked = watched(node.store);
  const begun = asks.map(async (ask) =>
    ask().then(
      () => undefined,
      () => undefined,
    ),
  );
  let ended = 0;
  for (const each of begun) void each.then(() => ended++);
  await node.ledger.stop();
  expect(ended).toBe(asks.length);
  asked.splice(0);
  for (const ask of asks) await expect(ask()).rejects.toMatchObject({ code: 'stopping' });
  await sleep(AFTER_MS);
  expect(asked).toEqual([]);
  await node.close();
});
