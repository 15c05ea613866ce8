import { AgrinetError } from '../../errors.ts';
import type { Identity } from '../../wire/identity.ts';
import type { HeldContract } from '../contract-book/types.ts';
import { verifyAttestation, signAttestation } from './evidence.ts';
import { composeNote, type DealNote } from './note.ts';

/** Issues the note of a contract as this node holds it now. Throws `contract-state` (409) while nothing was ever agreed in it. */
export function issueNote(
  { identity, now }: { readonly identity: Identity; readonly now: () => number },
  held: HeldContract,
): DealNote {
  const { state, contract, binding, statements, verdict } = held;
  const applied = new Set(verdict.applied);
  const counting = statements.filter(({ transition }) => applied.has(transition.hash));
  if (state.members === undefined || !counting.some(({ transition }) => transition.kind === 'accept'))
    throw new AgrinetError(
      'contract-state',
      `the contract is ${verdict.state}; there is a deal note only once both parties have agreed`,
    );
  const signedAttestation = signAttestation(identity, {
    ...binding,
    net: contract.net,
    contract: state.key,
    at: now(),
    statements: verdict.applied,
  });
  return composeNote({
    creation: state.members,
    statements: counting,
    word: verifyAttestation(signedAttestation),
    signedAttestation,
  });
}
