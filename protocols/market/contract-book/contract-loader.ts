import { LRUCache } from 'lru-cache';
import { atMost } from '../../lru-bound.ts';
import { isLive, type RecordState } from '../../open-dialog/record.ts';
import type { PeerId } from '../../wire/identity.ts';
import type { RecordKey } from '../../wire/ids.ts';
import { evaluateStatements } from '../contract/machine.ts';
import type { FieldHistory } from '../conversation-members.ts';
import { takesStock } from './binding.ts';
import { Bindings } from './bindings.ts';
import { SignedStatements } from './signed-statements.ts';
import type { BookReader, HeldContract } from './types.ts';

/** Statements read of each party: a party that writes more hides only its own. */
const STATEMENTS = 128;
/** Contracts kept in memory. */
const KEPT = 2048;

/** Contracts in their current state, evaluated again after each change of their channel. */
export class ContractLoader {
  readonly #net: string;
  readonly #statements: SignedStatements;
  readonly #bindings: Bindings;
  /** A change that removes one from here is not seen by a load in progress. */
  readonly #kept = new LRUCache<RecordKey, { held?: HeldContract | undefined }>(atMost(KEPT));

  constructor(reader: Pick<BookReader, 'factsOf'>, history: FieldHistory, net: string, self: PeerId) {
    this.#net = net;
    this.#statements = new SignedStatements(reader, self);
    this.#bindings = new Bindings(history);
  }

  /** A contract of two parties; undefined for an ended or public one, or one whose parties cannot be determined. */
  async load(state: RecordState | undefined): Promise<HeldContract | undefined> {
    if (!isLive(state) || state.channel !== state.key) return undefined;
    const kept = this.#kept.get(state.key) ?? {};
    this.#kept.set(state.key, kept);
    kept.held ??= await this.#evaluate(state);
    return kept.held && { ...kept.held, state };
  }

  /** The document of a contract or one of its statements has changed. */
  changed(contract: RecordKey): void {
    this.#kept.delete(contract);
    this.#bindings.changed(contract);
  }

  async #evaluate(state: RecordState): Promise<HeldContract | undefined> {
    const { all, inTurns, repeated } = await this.#statements.of(state.key);
    const binding = await this.#bindings.of(
      state,
      inTurns.map(({ transition }) => transition),
    );
    if (binding === undefined) return undefined;
    const parties = [binding.buyer, binding.supplier] as const;
    const statements = parties.flatMap((party) =>
      all.filter(({ transition }) => transition.party === party).slice(0, STATEMENTS),
    );
    const { key } = state;
    const { supplier } = binding;
    const contract = { key, net: this.#net, parties, supplier, stock: takesStock(binding) };
    const { verdict, agreed } = evaluateStatements(
      contract,
      statements.map(({ transition }) => transition),
    );
    return { state, binding, contract, statements, verdict, agreed, repeated };
  }
}
