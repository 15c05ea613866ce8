import type { Env } from '../env.ts';
import { AgrinetError } from '../errors.ts';
import {
  draftEdit,
  draftFact,
  draftPrivate,
  draftTombstone,
  type Draft,
  type Patch,
} from '../ledger/drafts.ts';
import type { Ledger, Written } from '../ledger/types.ts';
import type { Scalar } from '../open-dialog/change.ts';
import type { RecordState } from '../open-dialog/record.ts';
import { COLLECTIONS, fieldRule } from '../open-dialog/schema.ts';
import { base64url, sha256 } from '../wire/bytes.ts';
import type { PeerId } from '../wire/identity.ts';
import type { Json } from '../wire/json.ts';
import { isLocalId, parseRecordKey, recordKey, type RecordKey } from '../wire/ids.ts';
import { clauseChanges } from './contract/clauses.ts';
import { withPlace } from './listing-place.ts';
import { parseParty } from './party.ts';
import { priceProblem, replacesPriceOf } from './price-rules.ts';

/** A write that is on disk. */
export interface Saved {
  readonly state: RecordState;
  readonly created: boolean;
  readonly changed: boolean;
}

/** What HTTP clients do to this node's own records. Every call resolves when the write is on disk. */
export interface Catalogue {
  /** Throws `fields-invalid`, `id-invalid`, `listing-exists`. */
  createListing(body: Readonly<Record<string, unknown>>): Promise<Saved>;
  /** Creates or replaces; an ended one throws `record-ended`. */
  putListing(id: string, body: Readonly<Record<string, unknown>>): Promise<Saved>;
  /**
   * Creates a listing from an observed price, or brings it up to an equal or newer `priceDate`: of an older one nothing changes.
   * What its seller says beside the price (quantity, notes, status) stays. Throws `fields-invalid`, `id-invalid`, `record-ended`.
   */
  putPriceListing(id: string, body: Readonly<Record<string, unknown>>): Promise<Saved>;
  patch(key: RecordKey, body: Readonly<Record<string, unknown>>): Promise<Saved>;
  /** Throws `not-found`. */
  remove(key: RecordKey): Promise<void>;
  /** Throws `fields-invalid`, also for a price of 0 and for a day that is more than one ahead. */
  addPrice(body: Readonly<Record<string, unknown>>): Promise<Saved>;
  putProfile(fields: Patch): Promise<Saved>;
  /**
   * The document of a contract: in a private channel of these nodes, or public without any. With a local `id` that is used for this one
   * request, or with a `nonce` (16 bytes): its repetition finds the contract as it stands, and changes nothing.
   */
  createContract(
    body: Readonly<Record<string, unknown>>,
    parties: readonly PeerId[],
    id?: string,
    nonce?: Uint8Array,
  ): Promise<Saved>;
  settleConflict(key: RecordKey, field: string, value: Scalar): Promise<Saved>;
}

const LIST_FIELDS = new Set(['images', 'tags', 'interoperability']);

/** The fields of a JSON body as scalars: numbers in text where a number belongs, lists as one JSON scalar, coordinates with five decimals. */
export function scalarsOf(
  collectionName: string,
  body: Readonly<Record<string, unknown>>,
): Record<string, Scalar | undefined> {
  const collection = COLLECTIONS[collectionName];
  const fields: Record<string, Scalar | undefined> = {};
  for (const [field, value] of Object.entries(body)) {
    const rule = collection && fieldRule(collection, field);
    if (value === null) fields[field] = undefined;
    else if (typeof value === 'number' && rule?.type === 'string')
      fields[field] = field.startsWith('geo') ? value.toFixed(5) : String(value);
    else if (typeof value === 'number') fields[field] = value === 0 ? 0 : value;
    else if (typeof value === 'string' && rule?.type === 'number' && value.trim() !== '')
      fields[field] = Number(value);
    else if (typeof value === 'string' || typeof value === 'boolean') fields[field] = value;
    else if (Array.isArray(value) || typeof value === 'object') fields[field] = JSON.stringify(value);
    else
      throw new AgrinetError('fields-invalid', `${field}: must be text, a number, true or false, or a list`);
  }
  return fields;
}

/** A view as JSON: lists that were kept as one scalar are lists again. */
export function viewJson(view: RecordState['view']): Record<string, Json> {
  const json: Record<string, Json> = {};
  for (const [field, value] of Object.entries(view))
    json[field] = typeof value === 'string' && LIST_FIELDS.has(field) ? listOf(value) : value;
  return json;
}

function listOf(text: string): Json {
  if (!text.startsWith('[')) return text;
  try {
    return JSON.parse(text) as Json; // what JSON.parse returns is JSON
  } catch {
    return text; // written by somebody who meant text that begins with a bracket
  }
}

const NAMES = ['title', 'commodity', 'productId'] as const;

export function createCatalogue(ledger: Ledger, self: PeerId, env: Pick<Env, 'now' | 'bytes'>): Catalogue {
  const keyFor = (collection: string, id: string): RecordKey => recordKey(collection, self, id);

  function requireName(fields: Patch): void {
    const problems = [
      ...(fields['type'] === undefined ? ['type: required, "offer" or "request"'] : []),
      ...(NAMES.some((name) => typeof fields[name] === 'string' && fields[name] !== '')
        ? []
        : ['one of title, commodity or productId is required']),
    ];
    if (problems.length > 0)
      throw new AgrinetError('fields-invalid', problems.join('; '), { details: { problems } });
  }

  function requirePrice(price: unknown, date: unknown): void {
    const problem = priceProblem(price, date, env.now());
    if (problem !== undefined) throw new AgrinetError('fields-invalid', problem);
  }

  async function save(
    key: RecordKey,
    draft: (
      read: RecordState | undefined,
      pen: Parameters<Parameters<Ledger['write']>[0]['draft']>[0],
    ) => Draft,
  ): Promise<Saved> {
    const written = await ledger.write({ keys: [key], draft: (pen, read) => [draft(read(key), pen)] });
    return savedOf(written, 0);
  }

  function savedOf(written: Written, at: number): Saved {
    const record = written.records[at];
    if (record?.after === undefined) throw new AgrinetError('internal', 'a written record has no state');
    return { state: record.after, created: record.before?.exists !== true, changed: record.changed };
  }

  /** Which fields the clauses take is decided here, with the document as it stands: two requests at once never take the same. */
  function patchContract(
    key: RecordKey,
    { terms, ...body }: Readonly<Record<string, unknown>>,
  ): Promise<Saved> {
    const fields = scalarsOf('contracts', body);
    return save(key, (known, pen) => {
      if (known?.exists !== true) throw new AgrinetError('not-found', 'Not found');
      const place = Math.max(0, known.members?.writers.indexOf(self) ?? 0);
      const clauses = terms === undefined ? {} : clauseChanges(terms, place, known.view);
      return draftEdit(pen, key, known.channel, known, { ...fields, ...clauses });
    });
  }

  return {
    async createListing(body) {
      const { id: given, ...rest } = withPlace(body);
      const id = given === undefined ? base64url(env.bytes(12)) : given;
      if (typeof id !== 'string' || !isLocalId(id))
        throw new AgrinetError('id-invalid', 'id: 1 to 64 letters, digits, - or _');
      const fields = { status: 'active', ...scalarsOf('listings', rest) };
      requireName(fields);
      const key = keyFor('listings', id);
      return save(key, (known, pen) => {
        if (known?.exists === true && !known.tombstone)
          throw new AgrinetError('listing-exists', `listing ${id} exists; change it with PATCH or PUT`);
        return draftEdit(pen, key, 'public', known, fields);
      });
    },
    async putListing(id, body) {
      if (!isLocalId(id)) throw new AgrinetError('id-invalid', 'id: 1 to 64 letters, digits, - or _');
      const fields = { status: 'active', ...scalarsOf('listings', withPlace(body)) };
      requireName(fields);
      const key = keyFor('listings', id);
      return save(key, (known, pen) => {
        const gone = Object.keys(known?.view ?? {}).filter((field) => !Object.hasOwn(fields, field));
        return draftEdit(pen, key, 'public', known, {
          ...Object.fromEntries(gone.map((f) => [f, undefined])),
          ...fields,
        });
      });
    },
    putPriceListing(id, body) {
      if (!isLocalId(id)) throw new AgrinetError('id-invalid', 'id: 1 to 64 letters, digits, - or _');
      const fields = scalarsOf('listings', withPlace(body));
      requireName(fields);
      const { price, priceDate } = fields;
      requirePrice(price, priceDate);
      const seller = fields['userId'];
      if (seller !== undefined && (parseParty(`${seller}@${self}`) === undefined || parseParty(seller)))
        throw new AgrinetError('fields-invalid', 'userId: must be the bare name of a user of this node');
      if (typeof price !== 'number' || typeof priceDate !== 'string')
        throw new AgrinetError('fields-invalid', 'price and priceDate: required');
      const key = keyFor('listings', id);
      // Held against what stands there inside the write: two imports at once end at the newer price, whoever comes first.
      return save(key, (known, pen) => {
        if (known?.exists !== true)
          return draftEdit(pen, key, 'public', known, { status: 'active', ...fields });
        const newer = replacesPriceOf(known.view['priceDate'], priceDate, env.now());
        return draftEdit(pen, key, 'public', known, newer ? fields : {});
      });
    },
    patch(key, body) {
      const parts = parseRecordKey(key);
      const collection = parts?.collection ?? '';
      if (collection === 'contracts') return patchContract(key, body);
      const fields = scalarsOf(collection, collection === 'listings' ? withPlace(body) : body);
      return save(key, (known, pen) => {
        if (known?.exists !== true) throw new AgrinetError('not-found', 'Not found');
        return draftEdit(pen, key, known.channel, known, fields);
      });
    },
    async remove(key) {
      await save(key, (known) => {
        if (known?.exists !== true || known.tombstone) throw new AgrinetError('not-found', 'Not found');
        return draftTombstone(key, known.channel);
      });
    },
    async addPrice(body) {
      const fields = scalarsOf('prices', body);
      requirePrice(fields['price'], fields['date']);
      const written = await ledger.write({
        keys: [],
        draft: (pen) => [draftFact(pen, 'prices', fields)],
      });
      return savedOf(written, 0);
    },
    putProfile(fields) {
      const key = keyFor('nodes', 'profile');
      return save(key, (known, pen) => draftEdit(pen, key, 'public', known, { nodeId: self, ...fields }));
    },
    async createContract({ terms, ...body }, parties, id, given) {
      const members = [...new Set([self, ...parties])];
      const plain = { status: 'open', ...scalarsOf('contracts', body) };
      const place = [...members].sort().indexOf(self);
      const fields = { ...plain, ...(terms === undefined ? {} : clauseChanges(terms, place, plain)) };
      if (parties.length === 0) {
        const key = keyFor('contracts', id ?? base64url(env.bytes(12)));
        return save(key, (known, pen) =>
          draftEdit(pen, key, 'public', known, known?.exists === true ? {} : fields),
        );
      }
      const nonce =
        given ?? (id === undefined ? env.bytes(16) : sha256(new TextEncoder().encode(id)).subarray(0, 16));
      const created = draftPrivate(
        { author: self },
        'contracts',
        { writers: members, participants: members },
        nonce,
      );
      const { key, channel } = created;
      const written = await ledger.write({
        keys: [key],
        draft: (pen, read) => {
          const known = read(key);
          if (known?.exists === true) return [draftEdit(pen, key, channel, known, {})];
          return [created, draftEdit(pen, key, channel, undefined, fields)];
        },
      });
      return savedOf(written, written.records.length - 1);
    },
    settleConflict(key, field, value) {
      return save(key, (known, pen) => {
        if (known?.conflicts[field] === undefined)
          throw new AgrinetError('not-found', `${field} of this record is not in conflict`);
        return draftEdit(pen, key, known.channel, known, { [field]: value });
      });
    },
  };
}
