import { AgrinetError } from '../../errors.ts';
import { isLive, type RecordState } from '../../open-dialog/record.ts';
import type { PeerId } from '../../wire/identity.ts';
import { parseRecordKey, type RecordKey } from '../../wire/ids.ts';
import type { Catalogue } from '../catalogue.ts';
import { contractFields, FIXED } from './fields.ts';
import { type HeldContracts, notFound } from './held-contracts.ts';
import type { ContractAccess } from './contract-access.ts';
import { notAParty } from './steps.ts';
import type { Actor, Body, BookReader } from './types.ts';

export interface EditParts {
  readonly reader: BookReader;
  readonly contracts: HeldContracts;
  readonly access: ContractAccess;
  readonly catalogue: Pick<Catalogue, 'patch'>;
}

/** Changes the document of a contract, or an open request. Throws `not-found`, `forbidden`, `not-a-party`, `contract-state`, `fields-invalid`. */
export async function editContract(
  { reader, contracts, access, catalogue }: EditParts,
  key: RecordKey,
  body: Body,
  actor: Actor,
): Promise<void> {
  const state = await reader.get(key);
  if (!isLive(state)) throw notFound();
  const fields = contractFields(body);
  for (const name of FIXED)
    if (fields[name] !== undefined && fields[name] !== state.view[name])
      throw new AgrinetError('forbidden', `${name}: cannot be changed; create a new contract`);
  if (state.channel === 'public') {
    if (!mayEdit(state, actor, contracts.self)) throw notAParty();
    const status = body['status'] === undefined ? {} : { status: body['status'] };
    await catalogue.patch(key, { ...fields, ...status });
    return;
  }
  await contracts.locks.run(key, async () => {
    const { verdict } = await access.toActIn(key, actor);
    if (verdict.state !== 'draft' && verdict.state !== 'proposed')
      throw new AgrinetError(
        'contract-state',
        `the contract is ${verdict.state}; its terms can no longer be changed`,
      );
    await catalogue.patch(key, fields);
  });
}

/** An open request is its owner's; of its users, those it names. */
function mayEdit({ key, view }: RecordState, actor: Actor, self: PeerId): boolean {
  if (parseRecordKey(key)?.owner !== self) return false;
  return (
    actor.operator ||
    [view['buyerId'], view['supplierId']].some(
      (name) => name === actor.userId || name === `${actor.userId ?? ''}@${self}`,
    )
  );
}
