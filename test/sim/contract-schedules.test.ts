import { expect, it } from 'vitest';
import { contractJson } from '../../api/contract-json.ts';
import type { StepRequest } from '../../protocols/market/contract-book/types.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import { seededRandom } from '../support/random.ts';
import type { Member } from './world/member.ts';
import { inWorld, type Scenario } from './world/scenario.ts';
import { offer, OPERATOR, proposed, shown, step } from './world/trade.ts';

type Contract = ReturnType<typeof contractJson>;

const ROUNDS = 20;
const QUANTITY = 10;
const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);

async function contract(scenario: Scenario, member: Member, key: RecordKey): Promise<Contract> {
  return contractJson(await scenario.node(member).book.get(key, OPERATOR));
}

/** Takes a step; a refusal is an answer. */
function tryStep(
  scenario: Scenario,
  member: Member,
  key: RecordKey,
  request: StepRequest,
): Promise<string | undefined> {
  return scenario.done(
    step(scenario, member, key, request).catch((error: unknown) => (error as { code?: string }).code),
  );
}

it(
  `never grants more than there is, over ${ROUNDS} schedules of two nodes (seed ${seed})`,
  { timeout: 240_000 },
  () =>
    inWorld({ seed, nodes: 2 }, async (scenario, buyer, supplier) => {
      const random = seededRandom(seed);
      const int = (below: number): number => Math.floor(random() * below);
      for (let round = 0; round < ROUNDS; round++) {
        const id = `maize-${round}`;
        const listing = await offer(scenario, supplier, id, QUANTITY);
        const want = (quantity: number) => proposed(scenario, buyer, supplier, { id, quantity });
        const keys: RecordKey[] = [];
        for (let i = 0; i < 4; i++) keys.push(await want(1 + int(6)));
        const pick = (): RecordKey => keys[int(keys.length)] ?? listing;
        if (random() < 0.5) scenario.cut(buyer);
        for (let i = 0; i < 10; i++) {
          const key = pick();
          const what = int(6);
          if (what <= 1) await tryStep(scenario, supplier, key, { kind: 'accept' });
          else if (what === 2) {
            const validUntil = scenario.node(supplier).env.now() + 100 + int(400);
            await tryStep(scenario, supplier, key, { kind: 'propose', validUntil });
          } else if (what === 3) await tryStep(scenario, buyer, key, { kind: 'accept' });
          else if (what === 4)
            await tryStep(scenario, random() < 0.5 ? buyer : supplier, key, { kind: 'cancel' });
          else if (round % 5 === 4 && i === 5) {
            const end = (['stop', 'kill', 'power'] as const)[int(3)];
            if (end === 'stop') await scenario.stop(supplier);
            else if (end !== undefined) scenario.world.crash(supplier, end);
            await scenario.start(supplier);
            scenario.heal();
          }
          expect(await takenOf(scenario, supplier, keys, supplier)).toBeLessThanOrEqual(QUANTITY);
        }
        scenario.heal();
        await scenario.until(
          'both to hold the same, and every hold to have ended',
          async () => {
            for (const key of keys) {
              const [here, there] = [
                await contract(scenario, buyer, key),
                await contract(scenario, supplier, key),
              ];
              const [said, heard] = [here, there].map((each) => JSON.stringify(each));
              if (said !== heard || heldBy(there, supplier) > 0) return false;
            }
            return true;
          },
          200_000,
        );
        const taken = await takenOf(scenario, supplier, keys, supplier);
        expect(await takenOf(scenario, buyer, keys, supplier)).toBe(taken);
        expect(taken).toBeLessThanOrEqual(QUANTITY);
        // Every unit that is not granted can be sold, and not one more.
        if (taken < QUANTITY)
          expect(await tryStep(scenario, supplier, await want(QUANTITY - taken), { kind: 'accept' })).toBe(
            'accepted',
          );
        expect(await tryStep(scenario, supplier, await want(1), { kind: 'accept' })).toBe('stock-short');
        expect((await shown(scenario, supplier, listing)).view['available']).toBe(0);
      }
      await scenario.settled(200_000);
    }),
);

/** Counted anew from the steps as shown: agreements that both have not cancelled, and the supplier's holds. */
async function takenOf(
  scenario: Scenario,
  at: Member,
  keys: readonly RecordKey[],
  supplier: Member,
): Promise<number> {
  let sum = 0;
  for (const key of keys) {
    const shownAs = await contract(scenario, at, key);
    sum += Math.max(agreedIn(shownAs), heldBy(shownAs, supplier));
  }
  return sum;
}

function quantityIn({ terms }: NonNullable<Contract['transitions']>[number]): number {
  return Number(terms?.['quantity'] ?? 0);
}

function agreedIn({ state, transitions = [] }: Contract): number {
  if (state !== 'accepted' && state !== 'settled' && state !== 'disputed') return 0;
  const accepts = transitions.filter((t) => t.kind === 'accept' && t.standing === 'applied');
  const accepted = transitions.filter(({ hash }) => accepts.some(({ proposal }) => proposal === hash));
  return Math.max(0, ...accepted.map(quantityIn));
}

function heldBy({ cancelledBy, transitions = [] }: Contract, supplier: Member): number {
  const ended = new Set(
    transitions.filter((t) => t.kind === 'expire' || t.kind === 'accept').map((t) => t.proposal),
  );
  if (cancelledBy?.length === 2) return 0;
  const holds = transitions.filter(
    (t) =>
      t.kind === 'propose' &&
      t.party.endsWith(supplier.peerId) &&
      t.standing === 'applied' &&
      !ended.has(t.hash),
  );
  return Math.max(0, ...holds.map(quantityIn));
}
