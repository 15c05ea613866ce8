import { AgrinetError } from '../../errors.ts';
import { isLive, type RecordState } from '../../open-dialog/record.ts';
import type { PeerId } from '../../wire/identity.ts';
import { parsePublicId, parseRecordKey, publicId, recordKey } from '../../wire/ids.ts';
import { nodeOf, type Party, parseParty } from '../party.ts';
import { type Binding, bindingNonce } from './binding.ts';
import { contractFields, termsOfRequest } from './fields.ts';
import { termsOfListing } from './listing-terms.ts';
import { requireOpenEnd } from './steps.ts';
import type { Actor, Body, BookParts } from './types.ts';

/** What a request to begin a contract results in: a contract of two, or an open request of one. */
export interface Opening {
  readonly fields: Record<string, unknown>;
  readonly two?: {
    readonly binding: Binding;
    readonly nonce: Uint8Array;
    readonly members: readonly PeerId[];
  };
}

const invalid = (why: string): AgrinetError => new AgrinetError('fields-invalid', why);

/** A public record that a request names. */
interface Named {
  readonly id: string;
  readonly state: RecordState;
}

interface Parties {
  readonly buyer: string | undefined;
  readonly supplier: string | undefined;
}

type OpeningParts = Pick<BookParts, 'identity' | 'reader' | 'isActive' | 'isUser' | 'bytes' | 'now'>;

/**
 * Determines the participants. A bare id is a user of this node; the caller takes the remaining role. Throws `fields-invalid`,
 * `forbidden`, `not-found` (a listing or request that is not here, or not yet), `party-unknown` (409: the other node is not
 * registered and active here, or there is no such user), `listing-without-seller` (409).
 */
export async function openingOf(
  parts: OpeningParts,
  body: Body,
  actor: Actor,
  id: string | undefined,
): Promise<Opening> {
  const self = parts.identity.peerId;
  requireOpenEnd(body['validUntil'], parts.now());
  const asked = new OpeningRequest(parts, body, actor);
  const listing = await asked.publicRecord('listingId', 'listings', 'a listing');
  const request = await asked.publicRecord('requestId', 'contracts', 'an open request');
  const { buyer, supplier } = asked.parties(listing?.state, request?.state);
  const all = [buyer, supplier].filter((party) => party !== undefined);
  const fields: Record<string, unknown> = {
    ...(request === undefined ? {} : termsOfRequest(request.state)),
    ...asked.fields(listing?.state),
    ...(listing === undefined ? {} : { listingId: listing.id }),
    ...(request === undefined ? {} : { requestId: request.id }),
  };
  // Bare names are kept while everybody is on this node; a name sent to another node includes its own node.
  const abroad = all.some((party) => nodeOf(party) !== self);
  const shown = (party: string): string => (abroad ? party : (parseParty(party)?.user ?? party));
  if (buyer !== undefined) fields['buyerId'] = shown(buyer);
  if (supplier !== undefined) fields['supplierId'] = shown(supplier);
  if (buyer === undefined || supplier === undefined) return { fields };
  const binding = { buyer, supplier, listing: listing?.id ?? '' };
  const salt = id === undefined ? parts.bytes(16) : new TextEncoder().encode(id);
  const members = [...new Set([self, ...all.flatMap((party) => nodeOf(party) ?? [])])];
  return { fields, two: { binding, nonce: bindingNonce(binding, salt), members } };
}

/** What one actor asks for, by name. */
class OpeningRequest {
  readonly #parts: OpeningParts;
  readonly #body: Body;
  readonly #actor: Actor;
  readonly #self: PeerId;
  /** The actor as a party; undefined for the operator. */
  readonly #me: string | undefined;
  /** Users that the request itself names. */
  readonly #givenNames: (Party & { readonly field: string })[] = [];

  constructor(parts: OpeningParts, body: Body, actor: Actor) {
    this.#parts = parts;
    this.#body = body;
    this.#actor = actor;
    this.#self = parts.identity.peerId;
    this.#me = actor.userId === undefined ? undefined : `${actor.userId}@${this.#self}`;
  }

  /** The fields of the request, and those of its listing that the request does not have. */
  fields(listing: RecordState | undefined): Record<string, unknown> {
    const named = contractFields(this.#body);
    const listed = Object.entries(listing === undefined ? {} : termsOfListing(listing));
    return { ...named, ...Object.fromEntries(listed.filter(([field]) => (named[field] ?? null) === null)) };
  }

  async publicRecord(field: string, collection: string, what: string): Promise<Named | undefined> {
    const value = this.#value(field);
    if (value === undefined) return undefined;
    const at = typeof value === 'string' ? parsePublicId(value, this.#self) : undefined;
    if (at === undefined) throw invalid(`${field}: must be the id of ${what}`);
    const state = await this.#parts.reader.get(recordKey(collection, at.owner, at.id));
    // It may be on its way: a record that is not here is no error of the request, and the same request can succeed later.
    if (!isLive(state) || state.channel !== 'public')
      throw new AgrinetError('not-found', `${field}: no such ${what.replace(/^an? /, '')} on this node`);
    return { id: publicId(at), state };
  }

  /** Buyer and supplier: those named, else those of the request, else the owner of the listing, else the actor. */
  parties(listing: RecordState | undefined, request: RecordState | undefined): Parties {
    const seller = listing && userOf(listing, 'userId');
    if (listing !== undefined && seller === undefined)
      throw new AgrinetError(
        'listing-without-seller',
        'this listing names no user who could be the other party of a contract',
      );
    const offers = listing?.view['type'] === 'offer';
    const [selling, buying] = offers ? [seller, undefined] : [undefined, seller];
    const { buyer, supplier } = this.#withActor({
      supplier:
        this.#named('supplierId', selling) ??
        this.#named('producerId', selling) ??
        (request && userOf(request, 'supplierId')) ??
        selling,
      buyer: this.#named('buyerId', buying) ?? (request && userOf(request, 'buyerId')) ?? buying,
    });
    if (buyer !== undefined && buyer === supplier)
      throw invalid('the two parties of a contract must be different users');
    this.#requireUsers();
    const all = [buyer, supplier].filter((party) => party !== undefined);
    for (const party of all) this.#requireNode(nodeOf(party), party);
    if (all.length > 0 && !all.some((party) => nodeOf(party) === this.#self))
      throw invalid(
        'one of the parties must be a user of this node; name that user as buyerId or supplierId',
      );
    return { buyer, supplier };
  }

  /** The actor takes the place that is left. */
  #withActor({ buyer, supplier }: Parties): Parties {
    const me = this.#me;
    if (me === undefined || me === buyer || me === supplier) return { buyer, supplier };
    if (buyer === undefined) return { buyer: me, supplier };
    if (supplier === undefined) return { buyer, supplier: me };
    throw new AgrinetError('forbidden', `this key can only create contracts for ${this.#actor.userId}`);
  }

  /** The user that a field names, as `user@peer-id`; where the listing's own user has that place, a bare name is theirs. */
  #named(field: string, listed?: string): string | undefined {
    const value = this.#value(field);
    if (value === undefined) return undefined;
    if (typeof value !== 'string') throw invalid(`${field}: must be text, user or user@peer-id`);
    if (listed !== undefined && !value.includes('@')) {
      if (parseParty(listed)?.user === value) return listed;
      throw new AgrinetError(
        'party-unknown',
        `${field}: the listing is by ${listed}; leave ${field} out, or name the user with its node: user@peer-id`,
      );
    }
    if (value === this.#actor.userId) return this.#me;
    const party = parseParty(value.includes('@') ? value : `${value}@${this.#self}`);
    this.#requireNode(party?.node, field);
    if (party !== undefined) this.#givenNames.push({ ...party, field });
    return party && `${party.user}@${party.node}`;
  }

  #value(field: string): unknown {
    const value = this.#body[field];
    return value === null || value === '' ? undefined : value;
  }

  /** The operator's word makes a user; anybody else names those that there are. */
  #requireUsers(): void {
    if (this.#actor.operator) return;
    for (const { user, node, field } of this.#givenNames)
      if (node === this.#self && !this.#parts.isUser(user))
        throw new AgrinetError(
          'party-unknown',
          `${field}: this node has no user ${user}; name a user of another node as user@peer-id`,
        );
  }

  #requireNode(node: PeerId | undefined, named: string): void {
    if (node === undefined || (node !== this.#self && !this.#parts.isActive(node)))
      throw new AgrinetError(
        'party-unknown',
        `${named}: that node is not registered here; register it with: agrinet join <its url> --key <its key>`,
      );
  }
}

/** The user of a public record, at its owner's node. */
function userOf(state: RecordState, field: string): string | undefined {
  const user = state.view[field];
  const owner = parseRecordKey(state.key)?.owner;
  if (typeof user !== 'string' || owner === undefined) return undefined;
  const bare = `${user}@${owner}`;
  return parseParty(user) === undefined ? (parseParty(bare) === undefined ? undefined : bare) : user;
}
