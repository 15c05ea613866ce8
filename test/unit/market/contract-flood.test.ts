import { expect, it } from 'vitest';
import { collectionNamed } from '../../../protocols/ledger/drafts.ts';
import { bindingNonce } from '../../../protocols/market/contract-book/binding.ts';
import { ContractLoader } from '../../../protocols/market/contract-book/contract-loader.ts';
import type { FieldHistory } from '../../../protocols/market/conversation-members.ts';
import { STATEMENTS_READ } from '../../../protocols/market/contract-book/signed-statements.ts';
import {
  CONTRACT_ENVELOPE,
  joinCarried,
  signTransition,
  type TransitionBody,
} from '../../../protocols/market/contract/statement.ts';
import { emptyState } from '../../../protocols/open-dialog/fast-path.ts';
import type { RecordState } from '../../../protocols/open-dialog/record.ts';
import { base64url, hex, sha256Hex } from '../../../protocols/wire/bytes.ts';
import { readEnvelope } from '../../../protocols/wire/envelope.ts';
import { type Identity, identityFromSeed } from '../../../protocols/wire/identity.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { deal } from '../../support/terms.ts';

const honest = identityFromSeed(new Uint8Array(32).fill(1));
const hostile = identityFromSeed(new Uint8Array(32).fill(2));
const [seller, buyer] = [`mary@${honest.peerId}`, `eve@${hostile.peerId}`];
const contract = recordKey('contracts', honest.peerId, 'c'.repeat(43));

/** A statement of the contract by somebody's node. */
function signed(who: Identity, party: string, before: readonly string[], body: TransitionBody): Uint8Array {
  return signTransition(who, { ...body, net: 'test', contract, party, before, at: 5 });
}
const hashOf = (bytes: Uint8Array): string => sha256Hex(readEnvelope(CONTRACT_ENVELOPE, bytes).payload);

function fact(
  who: Identity,
  i: number,
  statement: Uint8Array,
  carried: readonly Uint8Array[] = [],
): RecordState {
  const key = recordKey('transitions', who.peerId, `f${i}`.padEnd(43, 'x'));
  const view = { statement: base64url(statement), carried: joinCarried(carried) };
  return { ...emptyState(key, collectionNamed('transitions'), contract), view, exists: true };
}

const history = (values: readonly { value: string; who: Identity; seq: number }[]): FieldHistory =>
  async function* () {
    for (const { value, who, seq } of values)
      yield { value, author: who.peerId, time: [seq, 0], epoch: '0'.repeat(16), seq, index: 0 };
  };

it('a node that has written over a contract’s parties a thousand times makes it unfindable for nobody', async () => {
  const flood = Array.from({ length: 1000 }, (_, seq) => ({
    value: `n${seq}@${hostile.peerId}`,
    who: hostile,
    seq,
  }));
  const begun = { value: seller, who: honest, seq: 5000 };
  const nodes = [honest.peerId, hostile.peerId].sort();
  const nonce = hex(bindingNonce({ buyer, supplier: seller, listing: '' }, new Uint8Array(16)));
  for (const held of [
    [...flood, begun],
    [begun, ...flood],
  ]) {
    const loader = new ContractLoader(
      { factsOf: () => Promise.resolve([]) },
      history(held),
      'test',
      honest.peerId,
    );
    const found = await loader.load({
      ...emptyState(contract, collectionNamed('contracts'), contract),
      exists: true,
      view: { buyerId: buyer, supplierId: `y@${honest.peerId}`, listingId: 'nothing' },
      members: { owner: honest.peerId, writers: nodes, participants: nodes, nonce },
    });
    expect(found?.binding).toEqual({ buyer, supplier: seller, listing: '' });
  }
});

it('a node that floods its part of a contract with names makes it unfindable for nobody', async () => {
  const proposal = signed(honest, seller, [], { kind: 'propose', terms: deal(5), heads: [] });
  const accept = signed(hostile, buyer, [hashOf(proposal)], { kind: 'accept', proposal: hashOf(proposal) });
  // Signed last, and dated before all others.
  const flood = Array.from({ length: STATEMENTS_READ }, (_, i) =>
    fact(hostile, i, signed(hostile, `u${i}@${hostile.peerId}`, [], { kind: 'cancel' })),
  );
  const facts = [...flood, fact(honest, 1, proposal), fact(honest, 2, proposal, [accept])];
  const names = Array.from({ length: 300 }, (_, i) => `n${i}@${hostile.peerId}`);
  const loader = new ContractLoader(
    { factsOf: () => Promise.resolve(facts) },
    history(names.map((value, seq) => ({ value, who: hostile, seq }))),
    'test',
    honest.peerId,
  );
  const nonce = hex(bindingNonce({ buyer, supplier: seller, listing: '' }, new Uint8Array(16)));
  const nodes = [honest.peerId, hostile.peerId].sort();
  const held = await loader.load({
    ...emptyState(contract, collectionNamed('contracts'), contract),
    exists: true,
    view: { buyerId: `x@${hostile.peerId}`, supplierId: `y@${honest.peerId}`, listingId: 'nothing' },
    members: { owner: honest.peerId, writers: nodes, participants: nodes, nonce },
  });
  expect(held?.binding).toEqual({ buyer, supplier: seller, listing: '' });
  expect(held?.verdict.state).toBe('accepted');
});
