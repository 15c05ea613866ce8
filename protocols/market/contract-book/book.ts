import type { RecordChange } from '../../ledger/ports.ts';
import { isLive } from '../../open-dialog/record.ts';
import { parseRecordKey, type RecordKey } from '../../wire/ids.ts';
import { editContract } from './edit.ts';
import { HeldContracts } from './held-contracts.ts';
import { createLastSteps } from './last-step.ts';
import { isNewsOf, writeNews } from './news.ts';
import { openingOf } from './opening.ts';
import { createPlacing } from './placing.ts';
import { Reviewer } from './reviewer.ts';
import { Sights } from './sights.ts';
import { StepTaker } from './step-taker.ts';
import { partyOf } from './steps.ts';
import { stockedCatalogue } from './stocked-catalogue.ts';
import type { BookParts, ContractBook } from './types.ts';

/** Opens the book over what the ledger holds; what has to be known of all contracts is read in the background. */
export function openContractBook(parts: BookParts): ContractBook {
  const { reader } = parts;
  const contracts = new HeldContracts(parts);
  const { self, shelf, locks } = contracts;
  const lastSteps = createLastSteps(parts, isNewsOf);
  const placing = createPlacing({ ...parts, self, load: (state) => contracts.of(state), lastSteps });
  const sights = new Sights({ reader, contracts, placing, lastSteps });
  const reviewer = new Reviewer(parts, contracts);
  const steps = new StepTaker({ ...parts, contracts, sights, reviewer });
  const ready = (): Promise<void> => reviewer.ready;
  const catalogue = stockedCatalogue(parts.catalogue, { self, shelf, locks, ready });

  function noteOne({ key, before, after }: RecordChange): void {
    const collection = parseRecordKey(key)?.collection;
    const channel = after.channel as RecordKey; // or `public`, which no contract's key begins
    if (!channel.startsWith('contracts/')) return;
    if (collection === 'transitions' || collection === 'contracts') {
      contracts.changed(channel);
      reviewer.changed(channel);
    } else if (collection === 'pings') {
      lastSteps.changed(channel);
      if (isLive(after) && !isLive(before)) reviewer.came(after);
    }
  }

  return {
    catalogue,
    async create(body, actor, id) {
      const { fields, two } = await openingOf(parts, body, actor, id);
      const { state } = await catalogue.createContract(fields, two?.members ?? [], id, two?.nonce);
      if (two !== undefined) await steps.proposeFirst(state.key, body, actor);
      return sights.get(state.key, actor);
    },
    get: (key, actor) => sights.get(key, actor),
    list: (listed, limit, cursor, actor) => sights.list(listed, limit, cursor, actor),
    async patch(key, body, actor) {
      await editContract({ reader, contracts, sights, catalogue }, key, body, actor);
      return sights.get(key, actor);
    },
    async step(key, request, actor) {
      await steps.take(key, request, actor);
      return sights.get(key, actor);
    },
    async ping(key, { as, ...body }, actor, id) {
      const from = partyOf(await sights.toActIn(key, actor), self, actor, as);
      await writeNews(parts, contracts, key, from, body, id);
      return sights.get(key, actor);
    },
    agreedWith: (peer) => contracts.agreedWith(peer),
    openRequestsOf: (peer) => placing.openRequestsOf(peer),
    note(changes) {
      changes.forEach(noteOne);
      placing.note(changes);
      reviewer.resume();
    },
    idle: () => reviewer.idle(),
    sweep: () => reviewer.sweep(),
    stop: () => reviewer.stop(),
  };
}
