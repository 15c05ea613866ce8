import type { StepRequest } from '../../../protocols/market/contract-book/types.ts';
import { publicId, recordKey, type RecordKey } from '../../../protocols/wire/ids.ts';
import type { RecordState } from '../../../protocols/open-dialog/record.ts';
import type { Member } from './member.ts';
import type { Scenario } from './scenario.ts';
import { deal } from '../../support/terms.ts';

export const OPERATOR = { operator: true } as const;

/** Offers some of something under a name, and waits until everybody who runs shows it. */
export async function offer(
  scenario: Scenario,
  supplier: Member,
  id: string,
  quantity: number,
): Promise<RecordKey> {
  const listing = { id, type: 'offer', ...deal(quantity), userId: 'mary' };
  scenario.world.stock.quantities.set(publicId({ owner: supplier.peerId, id }), quantity);
  await scenario.done(scenario.node(supplier).book.catalogue.createListing(listing));
  const key = recordKey('listings', supplier.peerId, id);
  for (const member of scenario.members) if (member.running !== undefined) await shown(scenario, member, key);
  return key;
}

export function shown(scenario: Scenario, member: Member, key: RecordKey): Promise<RecordState> {
  return scenario.until(`${member.name} to hold ${key}`, () => scenario.node(member).reader.get(key));
}

/** A contract over so much of a listing, up to its supplier's turn. */
export async function proposed(
  scenario: Scenario,
  buyer: Member,
  supplier: Member,
  { id = 'maize', quantity = 80 }: { readonly id?: string; readonly quantity?: number } = {},
): Promise<RecordKey> {
  const listingId = publicId({ owner: supplier.peerId, id });
  const { state } = await scenario.done(
    scenario
      .node(buyer)
      .book.create({ listingId, quantity, title: 'Maize' }, { operator: false, userId: 'amina' }),
  );
  await inState(scenario, supplier, state.key, 'proposed');
  return state.key;
}

/** Waits until a node sees a contract in this state. */
export function inState(scenario: Scenario, member: Member, key: RecordKey, state: string): Promise<true> {
  return scenario.until(
    `${member.name} to see the contract ${state}`,
    async () => (await stateOf(scenario, member, key)) === state && true,
  );
}

/** As which state a node sees a contract; undefined while it does not hold it. */
export async function stateOf(
  scenario: Scenario,
  member: Member,
  key: RecordKey,
): Promise<string | undefined> {
  const view = await scenario
    .node(member)
    .book.get(key, OPERATOR)
    .catch(() => undefined);
  return view?.held?.verdict.state;
}

/** Takes a step as the party that a node's user is. */
export async function step(
  scenario: Scenario,
  member: Member,
  key: RecordKey,
  request: StepRequest,
): Promise<string | undefined> {
  const { book } = scenario.node(member);
  const { held } = await book.get(key, OPERATOR);
  const as = held?.contract.parties.find((party) => party.endsWith(member.peerId));
  return (await book.step(key, { as, ...request }, OPERATOR)).held?.verdict.state;
}
