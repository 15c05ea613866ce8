import { expect, it } from 'vitest';
import { bindingNonce } from '../../../protocols/market/contract-book/binding.ts';
import { ContractLoader } from '../../../protocols/market/contract-book/contract-loader.ts';
import {
  joinCarried,
  verifyTransition,
  signTransition,
  type TransitionBody,
} from '../../../protocols/market/contract/statement.ts';
import { collectionNamed } from '../../../protocols/ledger/drafts.ts';
import { emptyState } from '../../../protocols/open-dialog/fast-path.ts';
import type { RecordState } from '../../../protocols/open-dialog/record.ts';
import { base64url } from '../../../protocols/wire/bytes.ts';
import { type Identity, identityFromSeed } from '../../../protocols/wire/identity.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { deal } from '../../support/terms.ts';

const [buyer, supplier] = [1, 2].map((seed) => identityFromSeed(new Uint8Array(32).fill(seed))) as [
  Identity,
  Identity,
];
const names = new Map([
  [buyer, `amina@${buyer.peerId}`],
  [supplier, `ben@${supplier.peerId}`],
]);
const key = recordKey('contracts', buyer.peerId, 'c'.repeat(43));

function signed(by: Identity, body: TransitionBody, before: readonly Uint8Array[], at: number): Uint8Array {
  return signTransition(by, {
    ...body,
    net: 'test',
    contract: key,
    party: names.get(by) ?? '',
    before: before.map((bytes) => verifyTransition(bytes).hash),
    at,
  });
}
function fact(
  by: Identity,
  place: number,
  statement: Uint8Array,
  carried: readonly Uint8Array[],
): RecordState {
  const own = recordKey('transitions', by.peerId, String(place).padStart(43, '0'));
  const view = { statement: base64url(statement), carried: joinCarried(carried) };
  return { ...emptyState(own, collectionNamed('transitions'), key), view };
}

it('an acceptance that the other node repeats stands, whatever its signer puts before it', async () => {
  const propose = signed(supplier, { kind: 'propose', terms: deal(1), heads: [] }, [], 1);
  const accept = signed(buyer, { kind: 'accept', proposal: verifyTransition(propose).hash }, [propose], 2);
  // As old as the buyer's clock likes, and from a feed that came after the acceptance.
  const junk = Array.from({ length: 192 }, (_, i) =>
    signed(buyer, { kind: 'settle', role: 'market_buyer' }, [], 10 + i),
  );
  const before = [0, 1, 2].map((i) => fact(buyer, i, accept, junk.slice(i * 64, i * 64 + 64)));
  const facts = [...before, fact(supplier, 5, propose, [accept])];
  const binding = { buyer: names.get(buyer) ?? '', supplier: names.get(supplier) ?? '', listing: '' };
  const nonce = Buffer.from(bindingNonce(binding, new Uint8Array(16))).toString('hex');
  const nodes = [buyer.peerId, supplier.peerId];
  const state: RecordState = {
    ...emptyState(key, collectionNamed('contracts'), key),
    exists: true,
    view: { buyerId: binding.buyer, supplierId: binding.supplier },
    members: { owner: buyer.peerId, writers: nodes, participants: nodes, nonce },
  };
  const reader = {
    get: async () => state,
    list: async () => ({ records: [] }),
    async *all() {
      yield state;
    },
    factsOf: async () => facts,
    newestInChannel: async () => [],
  };
  const loader = new ContractLoader(reader, async function* () {}, 'test', supplier.peerId);
  expect((await loader.load(state))?.verdict.state).toBe('accepted');
});
