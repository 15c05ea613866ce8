import { roleOf } from '../../protocols/market/roles.ts';
import { runCampaign } from '../support/campaign.ts';
import { evaluateContract } from '../../protocols/market/contract/machine.ts';
import type { Contract } from '../../protocols/market/contract/model.ts';
import { nextStep } from '../../protocols/market/contract/next.ts';
import type { Transition, TransitionBody } from '../../protocols/market/contract/statement.ts';
import { available, type Grant, grantOf, granted, mayGrant } from '../../protocols/market/contract/stock.ts';
import { sha256Hex } from '../../protocols/wire/bytes.ts';
import { seededRandom } from '../support/random.ts';
import { deal } from '../support/terms.ts';

const SUPPLIER = 's';
const HOLD = 20;
const CONTRACTS = 4;

/** What one node holds of each contract; statements are on its disk as soon as they are made or received. */
type Disk = Map<string, Transition[]>;

function terms(wanted: number, at: number): TransitionBody {
  return { kind: 'propose', terms: deal(wanted), heads: [], validUntil: at + HOLD };
}

/** One schedule. Throws when more is granted than there is, or a unit that nobody was granted cannot be sold. */
function schedule(seed: number): {
  steps: number;
  refused: number;
  expired: number;
  late: number;
  granted: number;
} {
  const random = seededRandom(seed);
  const below = (n: number): number => Math.floor(random() * n);
  const quantity = 1 + below(12);
  const contracts = Array.from({ length: CONTRACTS }, (_, i): Contract => ({
    key: `c${i}`,
    net: 'n',
    parties: [`b${i}`, SUPPLIER],
    supplier: SUPPLIER,
    stock: true,
  }));
  const [shop, buyers]: [Disk, Disk] = [new Map(), new Map()];
  const figures = { steps: 0, refused: 0, expired: 0, late: 0, granted: 0 };
  let now = 100;
  const of = (disk: Disk, c: Contract): Transition[] => disk.get(c.key) ?? [];
  const grants = (disk: Disk): Grant[] =>
    contracts.map((c) => grantOf(c.key, evaluateContract(c, of(disk, c))));
  const sign = (disk: Disk, c: Contract, party: string, body: TransitionBody): boolean => {
    let statement;
    try {
      statement = nextStep(c, of(disk, c), party, body, now);
    } catch {
      figures.refused++;
      return false;
    }
    const after = [...of(disk, c), { ...statement, hash: sha256Hex(JSON.stringify(statement)) }];
    // The check of the sum and the step are one batch, only on the supplier's node.
    if (
      disk === shop &&
      !mayGrant(
        quantity,
        grants(shop).filter((g) => g.contract !== c.key),
        grantOf(c.key, evaluateContract(c, after)),
      )
    ) {
      figures.refused++;
      return false;
    }
    disk.set(c.key, after);
    figures.steps++;
    return true;
  };
  const heal = (c: Contract): void => {
    const all = new Map([...of(shop, c), ...of(buyers, c)].map((t) => [t.hash, t]));
    for (const disk of [shop, buyers]) disk.set(c.key, [...all.values()]);
  };
  const sum = (): void => {
    const everything = contracts.map((c) =>
      grantOf(c.key, evaluateContract(c, [...of(shop, c), ...of(buyers, c)])),
    );
    for (const each of [grants(shop), everything])
      if (granted(each) > quantity) throw new Error(`seed ${seed}: granted ${granted(each)} of ${quantity}`);
  };
  const expire = (c: Contract): void => {
    for (const t of of(shop, c))
      if (t.kind === 'propose' && t.party === SUPPLIER && (t.validUntil ?? Infinity) <= now)
        if (sign(shop, c, SUPPLIER, { kind: 'expire', proposal: t.hash })) figures.expired++;
  };
  for (let step = 0; step < 40; step++) {
    now += below(3);
    const c = contracts[below(CONTRACTS)];
    if (c === undefined) continue;
    const disk = random() < 0.5 ? shop : buyers;
    const party = disk === shop ? SUPPLIER : `b${c.key.slice(1)}`;
    const offered = of(disk, c)
      .filter((t) => t.kind === 'propose')
      .at(-1);
    const action = below(10);
    if (action < 2) sign(disk, c, party, terms(1 + below(quantity), now));
    else if (action < 5 && offered !== undefined)
      sign(disk, c, party, { kind: 'accept', proposal: offered.hash });
    else if (action === 5) expire(c);
    else if (action === 6)
      sign(disk, c, party, random() < 0.5 ? { kind: 'settle', role: roleOf(party, c) } : { kind: 'cancel' });
    else if (action < 9) heal(c);
    // A buyer's node restarts from an older copy of its disk, and signs on from there.
    else buyers.set(c.key, of(buyers, c).slice(0, below(of(buyers, c).length + 1)));
    sum();
  }
  contracts.forEach(heal);
  now += HOLD + 1;
  contracts.forEach(expire);
  contracts.forEach(heal);
  sum();
  figures.late = contracts.filter((c) => evaluateContract(c, of(shop, c)).late.length > 0).length;
  figures.granted = granted(grants(shop));
  for (const c of contracts) {
    const verdict = evaluateContract(c, of(shop, c));
    if (verdict.claims.length > 0 && (verdict.state === 'draft' || verdict.state === 'proposed'))
      throw new Error(`seed ${seed}: a hold outlived its time`);
  }
  const rest = available(quantity, grants(shop));
  const last: Contract = { key: 'last', net: 'n', parties: ['z', SUPPLIER], supplier: SUPPLIER, stock: true };
  contracts.push(last);
  if (rest > 0 && !sign(shop, last, SUPPLIER, terms(rest, now)))
    throw new Error(`seed ${seed}: ${rest} cannot be sold`);
  sum();
  if (granted(grants(shop)) !== figures.granted + rest)
    throw new Error(`seed ${seed}: not all could be sold`);
  return figures;
}

/** Runs schedules from a seed. Throws besides when they had no occasion for what they are to show. */
export function stockCampaign(
  count: number,
  seed: number,
  onDone: () => void = () => undefined,
): Record<string, number> {
  const figures = { schedules: 0, steps: 0, refused: 0, expired: 0, late: 0, granted: 0 };
  for (let i = 0; i < count; i++) {
    const one = schedule(seed + i);
    figures.schedules++;
    for (const name of ['steps', 'refused', 'expired', 'late', 'granted'] as const)
      figures[name] += one[name];
    onDone();
  }
  for (const kind of ['refused', 'expired', 'late', 'granted'] as const)
    if (figures[kind] === 0) throw new Error(`seed ${seed}: nothing was ${kind} in ${count} schedules`);
  return figures;
}

if (import.meta.main)
  await runCampaign('stock', 10_000, ({ count, seed, onDone }) => stockCampaign(count, seed, onDone));
