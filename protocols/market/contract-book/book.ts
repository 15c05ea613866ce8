import { AgrinetError } from '../../errors.ts';
import { draftEdit, draftFact } from '../../ledger/drafts.ts';
import { isLive, type RecordState } from '../../open-dialog/record.ts';
import { base64url } from '../../wire/bytes.ts';
import { parseRecordKey, type RecordKey } from '../../wire/ids.ts';
import { available } from '../contract/stock.ts';
import { nodeOf, parseParty } from '../party.ts';
import { scalarsOf } from '../catalogue.ts';
import { shownContract } from './agreed.ts';
import { contractFields, FIXED } from './fields.ts';
import { createHistories } from './history.ts';
import { createLastSteps } from './last-step.ts';
import { createLocks } from './locks.ts';
import { openingOf } from './opening.ts';
import { createPlacing, movedAtOf } from './placing.ts';
import { holdsOf, Shelf } from './shelf.ts';
import { bodyOf, keepAnswers, notAParty, partyOf, takeStep, unrepeated } from './steps.ts';
import { stockedCatalogue } from './stocked-catalogue.ts';
import type { Actor, Body, BookParts, Case, ContractBook, Sight, StepRequest } from './types.ts';
import { readOne, type Unread } from '../../unread.ts';

/** News shown with a contract. */
const PINGS = 100;

const notFound = (): AgrinetError => new AgrinetError('not-found', 'Not found');

/** Opens the book over what the ledger holds; what has to be known of all contracts is read in the background. */
export function openContractBook(parts: BookParts): ContractBook {
  const { identity, reader, ledger, now } = parts;
  const self = identity.peerId;
  const locks = createLocks();
  const histories = createHistories(reader, parts.history, parts.net, self);
  const shelf = new Shelf(self);
  const lastSteps = createLastSteps(parts, isNewsOf);
  const placing = createPlacing({ ...parts, self, load: (state) => histories.load(state), lastSteps });
  /** Contracts with an agreement, and the other node. */
  const agreed = new Map<RecordKey, string>();
  const toReview = new Set<RecordKey>();
  /** Those of which the shelf may not show yet what they take. */
  const unshelved = new Set<RecordKey>();
  /** Those that could not be looked at, for the next sweep. */
  const failed = new Set<RecordKey>();
  const newPings: RecordState[] = [];
  let reviewing: Promise<void> | undefined;
  let stopped = false;
  let unread = false;
  let ready = begin();
  const catalogue = stockedCatalogue(parts.catalogue, { self, shelf, locks, ready: () => ready });

  function begin(): Promise<void> {
    const reading = readAll();
    reading.then(again, (error: unknown) => {
      unread = true;
      parts.onFailure(error);
    });
    return reading;
  }
  async function readAll(): Promise<void> {
    const listings = new Set<RecordKey>();
    for await (const state of reader.all('contracts')) {
      if (stopped) return;
      const held = await histories.load(state);
      if (held === undefined) continue;
      keep(held);
      const listing = shelf.listingOf(held);
      if (listing !== undefined) listings.add(listing);
      if (unrepeated(held, self) !== undefined) toReview.add(state.key);
    }
    // What a stop came between: the other party's step was written, and what it means for the listing was not.
    for (const listing of listings)
      if (!stopped) await locks(listing, () => showAvailable(listing)).catch(parts.onFailure);
  }

  /** Takes in how a contract stands; under its lock. True when what it takes of a listing has changed. */
  function keep(held: Case): boolean {
    const { key } = held.state;
    const other = held.contract.parties.map(nodeOf).find((node) => node !== self) ?? self;
    if (isTransaction(held)) agreed.set(key, other);
    else agreed.delete(key);
    return shelf.note(held);
  }

  // -- what others wrote, and holds that are over

  function review(): void {
    reviewing ??= reviewAll()
      .catch(parts.onFailure)
      .finally(() => {
        reviewing = undefined;
        again();
      });
  }
  function again(): void {
    if (!stopped && (toReview.size > 0 || newPings.length > 0)) review();
  }
  async function reviewAll(): Promise<void> {
    await ready;
    for (const key of toReview) {
      if (stopped) return;
      toReview.delete(key);
      await reviewOne(key).catch((error: unknown) => {
        failed.add(key);
        parts.onFailure(error);
      });
    }
    for (let ping = newPings.shift(); ping !== undefined; ping = newPings.shift()) await tell(ping);
  }
  async function reviewOne(key: RecordKey): Promise<void> {
    const seen = await histories.load(await reader.get(key));
    if (seen === undefined) return;
    const listing = shelf.listingOf(seen);
    await inOrder(listing, key, async () => {
      unshelved.delete(key);
      const held = await histories.load(await reader.get(key));
      if (held === undefined) return;
      const changed = keep(held);
      const released = await release(held);
      if (changed && !released && listing !== undefined) await showAvailable(listing);
      await keepAnswers(parts, held);
    });
  }
  /** Puts on the shelf what a change has brought. Its flag falls under the listing's lock: who misses it waits for that. */
  async function shelve(key: RecordKey): Promise<void> {
    const seen = await histories.load(await reader.get(key));
    const listing = seen && shelf.listingOf(seen);
    await inOrder(listing, key, async () => {
      unshelved.delete(key);
      const held = await histories.load(await reader.get(key));
      if (held !== undefined && keep(held) && listing !== undefined) await showAvailable(listing);
    });
  }
  /** Signs the end of every hold of this contract that is over. */
  async function release(held: Case): Promise<boolean> {
    if (shelf.listingOf(held) === undefined) return false;
    let now_ = held;
    let any = false;
    for (const { hash, validUntil } of holdsOf(held)) {
      if (validUntil > now()) continue;
      try {
        await takeStep(parts, shelf, now_, held.contract.supplier, { kind: 'expire', proposal: hash });
      } catch (error) {
        // What cannot be released yet stays granted; a full disk ends the attempt.
        if (error instanceof AgrinetError && REFUSALS.has(error.code)) continue;
        throw error;
      }
      any = true;
      now_ = await reload(held);
    }
    return any;
  }
  async function showAvailable(key: RecordKey): Promise<void> {
    await ledger.write({
      keys: [key],
      draft: (pen, read) => {
        const listing = read(key);
        const quantity = listing?.view['quantity'];
        if (!isLive(listing) || typeof quantity !== 'number') return [];
        return [
          draftEdit(pen, key, 'public', listing, { available: available(quantity, shelf.grants(key)) }),
        ];
      },
    });
  }
  async function tell(ping: RecordState): Promise<void> {
    const held = await histories.load(await reader.get(ping.channel as RecordKey)); // a fact of a contract's channel
    if (held === undefined || !isNewsOf(held, ping)) return;
    for (const party of held.contract.parties) {
      const { user, node } = parseParty(party) ?? {};
      if (user !== undefined && node === self) parts.onPing(user, held.state.key, ping);
    }
  }

  // -- one at a time

  /** First the listing, then the contract: nobody waits for the other way round. */
  function inOrder<T>(listing: RecordKey | undefined, key: RecordKey, work: () => Promise<T>): Promise<T> {
    const withContract = (): Promise<T> => locks(key, work);
    return listing === undefined ? withContract() : locks(listing, withContract);
  }
  async function reload(held: Case): Promise<Case> {
    const again = await histories.load(await reader.get(held.state.key));
    if (again === undefined) throw notFound();
    keep(again);
    return again;
  }

  // -- who may see what

  function takesPart(held: Case | undefined, actor: Actor): boolean {
    return actor.operator || held?.contract.parties.includes(`${actor.userId ?? ''}@${self}`) === true;
  }
  async function visible(state: RecordState, actor: Actor): Promise<Sight | undefined> {
    if (!isLive(state)) return undefined;
    if (state.channel === 'public') return { state, pings: [] };
    const held = await histories.load(state);
    if (!takesPart(held, actor)) return undefined;
    return held === undefined
      ? { state, pings: [] }
      : { ...shownContract(held), held, pings: [], movedAt: await movedAtOf(held, lastSteps) };
  }
  async function sightOf(key: RecordKey, actor: Actor): Promise<Sight> {
    const state = await reader.get(key);
    const sight = state && (await visible(state, actor));
    if (sight === undefined) throw notFound();
    if (sight.held === undefined) return sight;
    const { held } = sight;
    const pings = await reader.newestInChannel('pings', key, PINGS);
    return { ...sight, pings: pings.filter((ping) => isNewsOf(held, ping)) };
  }
  /** A contract to act in. Throws `not-found`, `not-a-party`, `contract-state`. */
  async function held(key: RecordKey, actor: Actor): Promise<Case> {
    const state = await reader.get(key);
    if (!isLive(state)) throw notFound();
    if (state.channel === 'public')
      throw new AgrinetError(
        'contract-state',
        'this is an open request; answer it with POST /contracts {"requestId": its id}',
      );
    const found = await histories.load(state);
    if (!takesPart(found, actor)) throw notAParty();
    if (found === undefined)
      throw new AgrinetError('contract-state', 'whose contract this is cannot be told; begin a new one');
    return found;
  }

  async function stepNow(
    key: RecordKey,
    actor: Actor,
    as: string | undefined,
    request: StepRequest,
  ): Promise<void> {
    await ready;
    const first = await held(key, actor);
    const party = partyOf(first, self, actor, as);
    const listing = shelf.listingOf(first);
    const takes = listing !== undefined && takesStock(request);
    if (takes || request.kind === 'settle') await parts.mayPromise();
    // What the wait has brought back is on disk; it counts once it is on the shelf. What comes from now on waits for nobody.
    const brought = takes ? [...unshelved] : [];
    for (const changed of brought) await shelve(changed);
    if (listing !== undefined) await sweepListing(listing, key);
    await inOrder(listing, key, async () => {
      const current = await held(key, actor);
      await takeStep(parts, shelf, current, party, bodyOf(current, party, request));
      await reload(current);
    });
  }
  async function sweepListing(listing: RecordKey, but: RecordKey): Promise<void> {
    for (const key of shelf.overdue(now(), listing)) if (key !== but) await reviewOne(key);
  }

  /** What a new contract proposes at once, so that the other party can accept it as old clients do. */
  async function proposeFirst(key: RecordKey, body: Body, actor: Actor): Promise<void> {
    if (body['propose'] === false) return;
    const current = await histories.load(await reader.get(key));
    if (current === undefined) return;
    const { contract } = current;
    const me = `${actor.userId ?? ''}@${self}`;
    const here = contract.parties.filter((party) => nodeOf(party) === self);
    const party = here.includes(me) ? me : here[0];
    // A supplier's proposal on a listing is a hold: it needs its end, and has a request of its own.
    if (party === undefined || (contract.stock && party === contract.supplier)) return;
    if (current.known.some(({ transition }) => transition.party === party)) return;
    try {
      await stepNow(key, { operator: true }, party, { kind: 'propose' });
    } catch (error) {
      // Terms too long to be signed: the contract stands as a draft, and says so when it is proposed.
      if (!(error instanceof AgrinetError) || error.code !== 'fields-invalid') throw error;
    }
  }

  return {
    catalogue,
    async create(body, actor, id) {
      const { fields, two } = await openingOf(parts, body, actor, id);
      const { state } = await catalogue.createContract(fields, two?.members ?? [], id, two?.nonce);
      if (two !== undefined) await proposeFirst(state.key, body, actor);
      return sightOf(state.key, actor);
    },
    get: sightOf,
    async list(listed, limit, cursor, actor) {
      const page = await placing.page(listed, limit, cursor, actor);
      // What cannot be read may be anybody's: it is named to the operator.
      const left: Unread[] = actor.operator ? [...page.unread] : [];
      const sights = await Promise.all(
        page.items.map((key) =>
          readOne(
            key,
            async () => {
              const state = await reader.get(key);
              return state && visible(state, actor);
            },
            (unread) => left.push(unread),
          ),
        ),
      );
      const items = sights.filter((sight) => sight !== undefined);
      return {
        items,
        ...(left.length === 0 ? {} : { unread: left }),
        ...(page.cursor === undefined ? {} : { cursor: page.cursor }),
      };
    },
    async patch(key, body, actor) {
      const state = await reader.get(key);
      if (!isLive(state)) throw notFound();
      const fields = contractFields(body);
      for (const name of FIXED)
        if (fields[name] !== undefined && fields[name] !== state.view[name])
          throw new AgrinetError('forbidden', `${name}: stays as it is; begin a new contract`);
      if (state.channel === 'public') {
        if (!mayEdit(state, actor)) throw notAParty();
        await catalogue.patch(key, {
          ...fields,
          ...(body['status'] === undefined ? {} : { status: body['status'] }),
        });
        return sightOf(key, actor);
      }
      await locks(key, async () => {
        const { verdict } = await held(key, actor);
        if (verdict.state !== 'draft' && verdict.state !== 'proposed')
          throw new AgrinetError(
            'contract-state',
            `the contract is ${verdict.state}; its terms stay as they are`,
          );
        await catalogue.patch(key, fields);
      });
      return sightOf(key, actor);
    },
    async step(key, request, actor) {
      await stepNow(key, actor, request.as, request);
      return sightOf(key, actor);
    },
    async ping(key, { as, ...body }, actor, id) {
      const contract = await held(key, actor);
      const from = partyOf(contract, self, actor, as);
      const nonce = id ?? base64url(parts.bytes(12));
      await locks(key, async () => {
        const repeated = (await reader.newestInChannel('pings', key, PINGS)).some(
          ({ view }) => view['nonce'] === nonce && view['from'] === from,
        );
        if (repeated) return;
        // What is not said is null: a field that is not there at all is no scalar.
        const { status = null, percentComplete = null, notes = null, attachments = null } = body;
        const said = scalarsOf('pings', { status, percentComplete, notes, attachments });
        const fields = { ...said, from, sentAt: now(), nonce };
        await ledger.write({ keys: [key], draft: (pen) => [draftFact(pen, 'pings', fields, key)] });
      });
      return sightOf(key, actor);
    },
    agreedWith: (peer) => [...agreed].flatMap(([key, other]) => (other === peer ? [key] : [])),
    openRequestsOf: (peer) => placing.openRequestsOf(peer),
    note(changes) {
      for (const { key, before, after } of changes) {
        const collection = parseRecordKey(key)?.collection;
        const channel = after.channel as RecordKey; // or `public`, which no contract's key begins
        if (!channel.startsWith('contracts/')) continue;
        if (collection === 'transitions' || collection === 'contracts') {
          histories.changed(channel);
          toReview.add(channel);
          unshelved.add(channel);
        } else if (collection === 'pings') {
          lastSteps.changed(channel);
          if (isLive(after) && !isLive(before)) newPings.push(after);
        }
      }
      placing.note(changes);
      again();
    },
    async idle() {
      await ready;
      while (reviewing !== undefined) await reviewing;
    },
    async sweep() {
      if (unread) {
        unread = false;
        ready = begin();
      }
      await ready;
      for (const key of [...shelf.overdue(now()), ...failed]) toReview.add(key);
      failed.clear();
      again();
      await reviewing;
    },
    async stop() {
      stopped = true;
      await reviewing;
      await ready.catch(() => undefined); // told when it failed
    },
  };

  function mayEdit(state: RecordState, actor: Actor): boolean {
    const owner = parseRecordKey(state.key)?.owner;
    if (owner !== self) return false;
    return (
      actor.operator ||
      [state.view['buyerId'], state.view['supplierId']].some(
        (name) => name === actor.userId || name === `${actor.userId ?? ''}@${self}`,
      )
    );
  }
}

/** Refusals of a release that another moment may allow. */
const REFUSALS = new Set([
  'contract-state',
  'contract-full',
  'hold-not-over',
  'not-supplier',
  'proposal-unknown',
]);

/** Steps that can take of a listing: what else was promised of it has to be known first. */
function takesStock(request: StepRequest): boolean {
  return (
    request.kind === 'accept' ||
    request.kind === 'resolve' ||
    (request.kind === 'propose' && request.validUntil !== undefined)
  );
}

/** From `accepted` on it is what old clients call a transaction. */
function isTransaction({ known, verdict }: Case): boolean {
  const counted = new Set(verdict.counted);
  const { state } = verdict;
  if (state === 'accepted' || state === 'settled' || state === 'disputed') return true;
  return (
    state === 'cancelled' && known.some(({ transition: t }) => t.kind === 'accept' && counted.has(t.hash))
  );
}

/** Whether a ping is by the party it names: a node speaks for its own users only. */
function isNewsOf({ contract }: Case, { key, view }: RecordState): boolean {
  const from = String(view['from'] ?? '');
  return contract.parties.includes(from) && nodeOf(from) === parseRecordKey(key)?.owner;
}
