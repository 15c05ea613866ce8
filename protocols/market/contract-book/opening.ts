import { AgrinetError } from '../../errors.ts';
import { isLive, type RecordState } from '../../open-dialog/record.ts';
import type { PeerId } from '../../wire/identity.ts';
import { parsePublicId, parseRecordKey, publicId, recordKey } from '../../wire/ids.ts';
import { nodeOf, parseParty } from '../party.ts';
import { type Binding, bindingNonce } from './binding.ts';
import { contractFields, termsOfRequest } from './fields.ts';
import type { Actor, Body, BookParts } from './types.ts';

/** What a request to begin a contract comes to: a contract of two, or an open request of one. */
export interface Opening {
  readonly fields: Record<string, unknown>;
  readonly two?: {
    readonly binding: Binding;
    readonly nonce: Uint8Array;
    readonly members: readonly PeerId[];
  };
}

const invalid = (why: string): AgrinetError => new AgrinetError('fields-invalid', why);

/**
 * Reads who is to take part. A bare id is a user of this node; the caller takes the place that is left. Throws `fields-invalid`,
 * `forbidden`, `not-found` (a listing or request that is not here, or not yet), `party-unknown` (409: the other node is not registered and
 * active here), `listing-without-seller` (409).
 */
export async function openingOf(
  parts: Pick<BookParts, 'identity' | 'reader' | 'isActive' | 'bytes'>,
  body: Body,
  actor: Actor,
  id: string | undefined,
): Promise<Opening> {
  const self = parts.identity.peerId;
  const me = actor.userId === undefined ? undefined : `${actor.userId}@${self}`;

  function named(field: string): string | undefined {
    const value = body[field];
    if (value === undefined || value === null || value === '') return undefined;
    if (typeof value !== 'string') throw invalid(`${field}: must be text, user or user@peer-id`);
    if (value === actor.userId) return me;
    const party = parseParty(value.includes('@') ? value : `${value}@${self}`);
    if (party === undefined || (party.node !== self && !parts.isActive(party.node)))
      throw new AgrinetError(
        'party-unknown',
        `${field}: that node is not registered here; register it with: agrinet join <its url> --key <its key>`,
      );
    return `${party.user}@${party.node}`;
  }
  async function publicRecord(field: 'listingId' | 'requestId', collection: string) {
    const value = body[field];
    if (value === undefined || value === null || value === '') return undefined;
    const at = typeof value === 'string' ? parsePublicId(value, self) : undefined;
    const what = field === 'listingId' ? 'listing' : 'open request';
    if (at === undefined)
      throw invalid(`${field}: must be the id of ${field === 'listingId' ? 'a' : 'an'} ${what}`);
    const state = await parts.reader.get(recordKey(collection, at.owner, at.id));
    // It may be on its way: what is not here is not wrong, and the same request can succeed later.
    if (!isLive(state) || state.channel !== 'public')
      throw new AgrinetError('not-found', `${field}: there is no such ${what} here`);
    return { id: publicId(at), state };
  }
  const listing = await publicRecord('listingId', 'listings');
  const request = await publicRecord('requestId', 'contracts');
  const ofListing = listing && userOf(listing.state, 'userId');
  if (listing !== undefined && ofListing === undefined)
    throw new AgrinetError(
      'listing-without-seller',
      'nobody stands behind this listing: it names no user whom a contract could be with',
    );
  const offers = listing?.state.view['type'] === 'offer';
  let supplier =
    named('supplierId') ??
    named('producerId') ??
    (request && userOf(request.state, 'supplierId')) ??
    (offers ? ofListing : undefined);
  let buyer =
    named('buyerId') ?? (request && userOf(request.state, 'buyerId')) ?? (offers ? undefined : ofListing);
  if (me !== undefined && me !== buyer && me !== supplier) {
    if (buyer === undefined) buyer = me;
    else if (supplier === undefined) supplier = me;
    else throw new AgrinetError('forbidden', `this key makes contracts of ${actor.userId} only`);
  }
  if (buyer !== undefined && buyer === supplier) throw invalid('a contract is between two, not with oneself');
  for (const party of [buyer, supplier]) {
    const node = nodeOf(party);
    if (node !== undefined && node !== self && !parts.isActive(node))
      throw new AgrinetError(
        'party-unknown',
        `${party}: that node is not registered here; register it with: agrinet join <its url> --key <its key>`,
      );
  }
  const given = contractFields(body);
  const fields: Record<string, unknown> = {
    ...(request === undefined ? {} : termsOfRequest(request.state)),
    ...given,
    ...(listing === undefined ? {} : { listingId: listing.id }),
    ...(request === undefined ? {} : { requestId: request.id }),
  };
  const all = [buyer, supplier].filter((party) => party !== undefined);
  if (all.length > 0 && !all.some((party) => nodeOf(party) === self))
    throw invalid('one of the parties has to be a user of this node; name it as buyerId or supplierId');
  // Bare names are kept while everybody is here; a name that goes to another node says whose it is.
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

/** The user of a public record, at its owner's node. */
function userOf(state: RecordState, field: string): string | undefined {
  const user = state.view[field];
  const owner = parseRecordKey(state.key)?.owner;
  if (typeof user !== 'string' || owner === undefined) return undefined;
  const bare = `${user}@${owner}`;
  return parseParty(user) === undefined ? (parseParty(bare) === undefined ? undefined : bare) : user;
}
