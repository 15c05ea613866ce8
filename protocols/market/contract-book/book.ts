import type { RecordChange } from '../../ledger/ports.ts';
import { isLive } from '../../open-dialog/record.ts';
import { parseRecordKey, type RecordKey } from '../../wire/ids.ts';
import { issueNote } from '../deal-note/issue.ts';
import { editContract } from './edit.ts';
import { HeldContracts } from './held-contracts.ts';
import { LastSteps } from './last-step.ts';
import { writeNews } from './news.ts';
import { openingOf } from './opening.ts';
import { ContractLists } from './contract-lists.ts';
import { Reviewer } from './reviewer.ts';
import { ContractAccess } from './contract-access.ts';
import { StepTaker } from './step-taker.ts';
import { partyOf } from './steps.ts';
import { stockedCatalogue } from './stocked-catalogue.ts';
import type { BookParts, ContractBook } from './types.ts';

/** Opens the book over what the ledger holds; what has to be known of all contracts is read in the background. */
export function openContractBook(parts: BookParts): ContractBook {
  const { reader } = parts;
  const contracts = new HeldContracts(parts);
  const { self, stock, locks } = contracts;
  const lastSteps = new LastSteps(parts);
  const lists = new ContractLists({ ...parts, self, load: (state) => contracts.of(state), lastSteps });
  const access = new ContractAccess({ reader, contracts, lists, lastSteps });
  const reviewer = new Reviewer(parts, contracts);
  const steps = new StepTaker({ ...parts, contracts, access, reviewer });
  const ready = (): Promise<void> => reviewer.ready;
  const catalogue = stockedCatalogue(parts.catalogue, { self, stock, locks, ready });

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
      return access.get(state.key, actor);
    },
    get: (key, actor) => access.get(key, actor),
    list: (filter, limit, cursor, actor) => access.list(filter, limit, cursor, actor),
    dealNote: async (key, actor) => issueNote(parts, await access.toRead(key, actor)),
    async patch(key, body, actor) {
      await editContract({ reader, contracts, access, catalogue }, key, body, actor);
      return access.get(key, actor);
    },
    async step(key, request, actor) {
      await steps.take(key, request, actor);
      return access.get(key, actor);
    },
    async ping(key, { as, ...body }, actor, id) {
      const from = partyOf(await access.toActIn(key, actor), self, actor, as);
      await writeNews(parts, contracts, key, from, body, id);
      return access.get(key, actor);
    },
    agreedWith: (peer) => contracts.agreedWith(peer),
    isTrading: (party, other) => ready().then(() => contracts.deals.has(party, other)),
    openRequestsOf: (peer) => lists.openRequestsOf(peer),
    note(changes) {
      changes.forEach(noteOne);
      lists.note(changes);
      reviewer.resume();
    },
    idle: () => reviewer.idle(),
    sweep: () => reviewer.sweep(),
    stop: () => reviewer.stop(),
  };
}
