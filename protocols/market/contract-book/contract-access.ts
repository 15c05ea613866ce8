import { AgrinetError } from '../../errors.ts';
import { isLive, type RecordState } from '../../open-dialog/record.ts';
import type { RecordKey } from '../../wire/ids.ts';
import { type Page, paged, readOne, type Unread } from '../../unread.ts';
import { shownContract } from './agreed.ts';
import { type HeldContracts, notFound } from './held-contracts.ts';
import type { LastSteps } from './last-step.ts';
import { newsOf } from './news.ts';
import type { ContractLists, ListFilter } from './contract-lists.ts';
import { notAParty } from './steps.ts';
import type { Actor, BookReader, HeldContract, ContractView } from './types.ts';

export interface AccessParts {
  readonly reader: BookReader;
  readonly contracts: HeldContracts;
  readonly lists: ContractLists;
  readonly lastSteps: LastSteps;
}

/** Decides who may see a contract and act in it. */
export class ContractAccess {
  readonly #parts: AccessParts;

  constructor(parts: AccessParts) {
    this.#parts = parts;
  }

  /** Throws `not-found` for a caller who may not see it. */
  async get(key: RecordKey, actor: Actor): Promise<ContractView> {
    const { reader } = this.#parts;
    const state = await reader.get(key);
    const view = state && (await this.#visible(state, actor));
    if (view === undefined) throw notFound();
    if (view.held === undefined) return view;
    return { ...view, pings: await newsOf(reader, view.held) };
  }

  async list(
    filter: ListFilter,
    limit: number,
    cursor: string | undefined,
    actor: Actor,
  ): Promise<Page<ContractView>> {
    const { lists, reader } = this.#parts;
    const page = await lists.page(filter, limit, cursor, actor);
    // An unreadable record may belong to anybody, so it is named to the operator.
    const left: Unread[] = actor.operator ? [...page.unread] : [];
    const visible = async (key: RecordKey): Promise<ContractView | undefined> => {
      const state = await reader.get(key);
      return state && this.#visible(state, actor);
    };
    const access = await Promise.all(
      page.keys.map((key) =>
        readOne(
          key,
          () => visible(key),
          (unread) => left.push(unread),
        ),
      ),
    );
    return {
      items: access.filter((view) => view !== undefined),
      ...paged(left, page.cursor),
    };
  }

  /** A contract of two, for a caller who may see it. Throws `not-found`; `contract-state` for an open request. */
  async toRead(key: RecordKey, actor: Actor): Promise<HeldContract> {
    const { state, held } = await this.get(key, actor);
    if (held !== undefined) return held;
    throw new AgrinetError(
      'contract-state',
      state.channel === 'public'
        ? 'this is an open request; nobody has agreed to it'
        : 'this contract has no clear parties; create a new one',
    );
  }

  /** A contract to act in. Throws `not-found`, `not-a-party`, `contract-state`. */
  async toActIn(key: RecordKey, actor: Actor): Promise<HeldContract> {
    const state = await this.#parts.reader.get(key);
    if (!isLive(state)) throw notFound();
    if (state.channel === 'public')
      throw new AgrinetError(
        'contract-state',
        'this is an open request; answer it with POST /contracts {"requestId": its id}',
      );
    const found = await this.#parts.contracts.of(state);
    if (!this.#takesPart(found, actor)) throw notAParty();
    if (found === undefined)
      throw new AgrinetError('contract-state', 'this contract has no clear parties; create a new one');
    return found;
  }

  #takesPart(held: HeldContract | undefined, actor: Actor): boolean {
    const me = `${actor.userId ?? ''}@${this.#parts.contracts.self}`;
    return actor.operator || held?.contract.parties.includes(me) === true;
  }

  async #visible(state: RecordState, actor: Actor): Promise<ContractView | undefined> {
    if (!isLive(state)) return undefined;
    if (state.channel === 'public') return { state, pings: [] };
    const { contracts, lastSteps } = this.#parts;
    const held = await contracts.of(state);
    if (!this.#takesPart(held, actor)) return undefined;
    return held === undefined
      ? { state, pings: [] }
      : { ...shownContract(held), held, pings: [], movedAt: await lastSteps.movedAt(held) };
  }
}
