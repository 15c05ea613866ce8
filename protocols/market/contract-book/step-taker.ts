import { AgrinetError } from '../../errors.ts';
import { parsePublicId, recordKey, type RecordKey } from '../../wire/ids.ts';
import type { TransitionBody } from '../contract/statement.ts';
import { nodeOf } from '../party.ts';
import type { HeldContracts } from './held-contracts.ts';
import type { Reviewer } from './reviewer.ts';
import type { ContractAccess } from './contract-access.ts';
import { requireAsListed } from './listing-terms.ts';
import { bodyOf, partyOf, requireOpenEnd, takeStep, termsSigned } from './steps.ts';
import type { Actor, Body, BookParts, HeldContract, StepRequest } from './types.ts';

/**
 * Why a new contract remains a draft, and fails with an error when it is proposed: its terms are not complete, differ from the
 * listing, or are too long to be signed.
 */
const DRAFTS: ReadonlySet<string> = new Set([
  'fields-invalid',
  'listing-differs',
  'listing-moved',
  'terms-incomplete',
]);

export interface StepParts extends Pick<BookParts, 'identity' | 'ledger' | 'reader' | 'now' | 'awaitFence'> {
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
    const { contracts, access, reviewer, now } = this.#parts;
    if (request.kind === 'propose') requireOpenEnd(request.validUntil, now());
    await reviewer.ready;
    const first = await access.toActIn(key, actor);
    const party = partyOf(first, contracts.self, actor, request.as);
    const listing = contracts.stock.listingOf(first);
    const takes = listing !== undefined && takesOfListing(request);
    if (takes || request.kind === 'settle') await this.#parts.awaitFence();
    // What the wait has returned is on disk; it counts once the stock includes it.
    if (takes) await contracts.updateStock();
    if (listing !== undefined) await this.#sweepListing(listing, key);
    await contracts.inOrder(listing, key, async () => {
      const current = await access.toActIn(key, actor);
      const body = bodyOf(current, party, request);
      await this.#requireAsListed(current, request, body);
      await takeStep(this.#parts, contracts.stock, current, party, body);
      await contracts.reload(current);
    });
  }

  /** Only terms that equal the listing are signed, or ones whose difference the party has been told. */
  async #requireAsListed(held: HeldContract, request: StepRequest, body: TransitionBody): Promise<void> {
    const { contracts, reader } = this.#parts;
    const listing = parsePublicId(held.binding.listing, contracts.self);
    const terms = termsSigned(held, body);
    if (listing === undefined || terms === undefined) return;
    if ('acknowledgeListing' in request && request.acknowledgeListing === true) return;
    requireAsListed(terms, await reader.get(recordKey('listings', listing.owner, listing.id)));
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
    const validUntil = typeof body['validUntil'] === 'number' ? body['validUntil'] : undefined;
    // A supplier's proposal on a listing is a hold: it needs its end, here or in a request of its own.
    const isEndless = contract.stock && party === contract.supplier && validUntil === undefined;
    if (party === undefined || isEndless) return;
    if (current.statements.some(({ transition }) => transition.party === party)) return;
    const acknowledgeListing = body['acknowledgeListing'] === true;
    try {
      await this.take(
        key,
        { kind: 'propose', as: party, validUntil, acknowledgeListing },
        { operator: true },
      );
    } catch (error) {
      if (!(error instanceof AgrinetError) || !DRAFTS.has(error.code)) throw error;
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
