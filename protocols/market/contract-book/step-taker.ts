import { AgrinetError } from '../../errors.ts';
import type { RecordKey } from '../../wire/ids.ts';
import { nodeOf } from '../party.ts';
import type { HeldContracts } from './held-contracts.ts';
import type { Reviewer } from './reviewer.ts';
import type { ContractAccess } from './contract-access.ts';
import { bodyOf, partyOf, takeStep } from './steps.ts';
import type { Actor, Body, BookParts, StepRequest } from './types.ts';

export interface StepParts extends Pick<BookParts, 'identity' | 'ledger' | 'now' | 'mayPromise'> {
  readonly contracts: HeldContracts;
  readonly access: ContractAccess;
  readonly reviewer: Reviewer;
}

/** Takes the steps that clients ask for, each when all that was promised before is known. */
export class StepTaker {
  readonly #parts: StepParts;

  constructor(parts: StepParts) {
    this.#parts = parts;
  }

  async take(key: RecordKey, request: StepRequest, actor: Actor): Promise<void> {
    const { contracts, access, reviewer } = this.#parts;
    await reviewer.ready;
    const first = await access.toActIn(key, actor);
    const party = partyOf(first, contracts.self, actor, request.as);
    const listing = contracts.stock.listingOf(first);
    const takes = listing !== undefined && takesOfListing(request);
    if (takes || request.kind === 'settle') await this.#parts.mayPromise();
    // What the wait has brought back is on disk; it counts once the stock shows it.
    if (takes) await contracts.updateStock();
    if (listing !== undefined) await this.#sweepListing(listing, key);
    await contracts.inOrder(listing, key, async () => {
      const current = await access.toActIn(key, actor);
      await takeStep(this.#parts, contracts.stock, current, party, bodyOf(current, party, request));
      await contracts.reload(current);
    });
  }

  async #sweepListing(listing: RecordKey, but: RecordKey): Promise<void> {
    const { contracts, reviewer, now } = this.#parts;
    for (const key of contracts.stock.overdue(now(), listing)) if (key !== but) await reviewer.review(key);
  }

  /** What a new contract proposes at once, so that the other party can accept it as old clients do. */
  async proposeFirst(key: RecordKey, body: Body, actor: Actor): Promise<void> {
    if (body['propose'] === false) return;
    const { contracts } = this.#parts;
    const current = await contracts.load(key);
    if (current === undefined) return;
    const { contract } = current;
    const me = `${actor.userId ?? ''}@${contracts.self}`;
    const here = contract.parties.filter((party) => nodeOf(party) === contracts.self);
    const party = here.includes(me) ? me : here[0];
    // A supplier's proposal on a listing is a hold: it needs its end, and has a request of its own.
    if (party === undefined || (contract.stock && party === contract.supplier)) return;
    if (current.statements.some(({ transition }) => transition.party === party)) return;
    try {
      await this.take(key, { kind: 'propose', as: party }, { operator: true });
    } catch (error) {
      // Terms too long to be signed: the contract stands as a draft, and says so when it is proposed.
      if (!(error instanceof AgrinetError) || error.code !== 'fields-invalid') throw error;
    }
  }
}

/** Steps that can take of a listing: what else was promised of it has to be known first. */
function takesOfListing(request: StepRequest): boolean {
  return (
    request.kind === 'accept' ||
    request.kind === 'resolve' ||
    (request.kind === 'propose' && request.validUntil !== undefined)
  );
}
