import { describe, expect, it } from 'vitest';
import {
  type RatingInput,
  trustProof,
  trustProofHolds,
  trustScore,
  trustText,
} from '../../../protocols/market/trust.ts';
import { sha256Hex } from '../../../protocols/wire/bytes.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { seededRandom } from '../../support/random.ts';

const peer = (n: number) =>
  identityFromSeed(Uint8Array.from({ length: 32 }, (_, i) => (i < 4 ? (n >>> (8 * i)) & 255 : 7))).peerId;
const [A, B, C, D] = [peer(1), peer(2), peer(3), peer(4)];
const SELLER = `amina@${B}`;

let serial = 0;
function rating(from: string, score: number, more: Partial<RatingInput> = {}): RatingInput {
  const contract = more.contract ?? `contracts/${B}/c${serial++}`;
  const id = `ratings/${from.slice(from.lastIndexOf('@') + 1)}/${sha256Hex(JSON.stringify([from, score, contract, more])).slice(0, 43)}`;
  return { id, from, to: SELLER, score, contract, supersedes: null, problem: null, ...more };
}

function shuffled<T>(items: readonly T[], seed: number): T[] {
  const random = seededRandom(seed);
  return items
    .map((item) => ({ item, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

/**
 * Another implementation, from the proof's text alone: it takes no verdict and no intermediate sum from it, and sums
 * over nested books in BigInt.
 */
function recomputed(text: string): bigint | null {
  const { subject, inputs, roots } = JSON.parse(text) as {
    subject: string;
    roots: string[];
    inputs: (Record<'id' | 'from' | 'to' | 'contract' | 'supersedes' | 'problem', string> & {
      score: number;
    })[];
  };
  const floor = (n: bigint, d: bigint): bigint => (n - (((n % d) + d) % d)) / d;
  const home = (party: string): string => party.slice(-52);
  const able = inputs.filter(
    (r) => r.problem === null && home(r.from) !== home(r.to) && roots.includes(home(r.from)),
  );
  const same = (a: (typeof able)[0], b: (typeof able)[0]): boolean =>
    a.from === b.from && a.to === b.to && a.contract === b.contract;
  const books = new Map<string, Map<string, Map<string, (typeof able)[0]>>>();
  for (const r of able) {
    if (!(r.to === subject || home(r.to) === subject)) continue;
    if (able.some((newer) => newer.supersedes === r.id && same(newer, r))) continue;
    const raters = books.get(home(r.from)) ?? new Map<string, Map<string, (typeof able)[0]>>();
    const contracts = raters.get(r.from) ?? new Map<string, (typeof able)[0]>();
    const deal = `${r.contract} ${r.to}`;
    const known = contracts.get(deal);
    if (known === undefined || r.id < known.id) contracts.set(deal, r);
    books.set(home(r.from), raters.set(r.from, contracts));
  }
  if (books.size === 0) return null;
  let total = 10_000_000n;
  for (const raters of books.values()) {
    let node = 0n;
    for (const contracts of raters.values()) {
      let points = 0n;
      for (const { score } of contracts.values()) points += BigInt(score);
      node += floor(points * 1_000_000n, BigInt(contracts.size));
    }
    total += floor(node, BigInt(raters.size));
  }
  return floor(total, 5n + BigInt(books.size));
}

describe('the LBTAS score', () => {
  it('is unknown without a counted rating, and drawn to 2 by a prior of five', () => {
    expect(trustScore(SELLER, [], [A])).toEqual({ subject: SELLER, score: null, counterparties: 0 });
    expect(trustScore(SELLER, [rating(`a@${C}`, 4)], [A]).score).toBeNull();
    expect(trustScore(SELLER, [rating(`a@${A}`, 4)], [A]).score).toBe(2_333_333); // (5 * 2 + 4) / 6
    expect(trustScore(SELLER, [rating(`a@${A}`, -1)], [A]).score).toBe(1_500_000);
    expect(trustScore(SELLER, [rating(`a@${A}`, 2), rating(`c@${C}`, 2)], [A, C]).score).toBe(2_000_000);
  });

  it('rounds every quotient down, also below zero', () => {
    const low = [rating(`a@${A}`, -1), rating(`a@${A}`, -1), rating(`a@${A}`, 1)];
    const proof = trustProof(SELLER, low, [A]);
    expect(proof.nodes[0]?.mean).toBe(-333_334);
    expect(proof.score).toBe(1_611_111); // floor(9,666,666 / 6)
  });

  it('is byte-equal with and without a hundred unregistered raters', () => {
    const roots = [A, C];
    const honest = [rating(`a@${A}`, 3), rating(`c@${C}`, 1)];
    const strangers = Array.from({ length: 100 }, (_, i) => rating(`x@${peer(1000 + i)}`, i % 2 ? 4 : -1));
    for (const subject of [SELLER, B, `nobody@${B}`]) {
      const bytes = trustText(trustScore(subject, honest, roots));
      expect(trustText(trustScore(subject, [...strangers, ...honest], roots))).toBe(bytes);
    }
    const proof = trustProof(SELLER, [...honest, ...strangers], roots);
    expect(proof.inputs.filter(({ verdict }) => verdict === 'not-a-root')).toHaveLength(100);
  });

  it('takes a thousand users of one node as one counterparty, and those of the rated node not at all', () => {
    const honest = [rating(`c@${C}`, 1), rating(`d@${D}`, 2)];
    const roots = [A, B, C, D];
    const users = Array.from({ length: 1000 }, (_, i) => rating(`u${i}@${A}`, 4));
    const asOne = trustText(trustScore(SELLER, [...honest, rating(`u0@${A}`, 4)], roots));
    expect(trustText(trustScore(SELLER, [...honest, ...users], roots))).toBe(asOne);
    const own = Array.from({ length: 1000 }, (_, i) => rating(`u${i}@${B}`, 4));
    expect(trustText(trustScore(SELLER, [...honest, ...own], roots))).toBe(
      trustText(trustScore(SELLER, honest, roots)),
    );
    const mixed = users.map((user, i) => ({ ...user, score: (i % 6) - 1 }));
    const most = trustScore(SELLER, [...honest, ...mixed], roots).score ?? 0;
    expect(most).toBeLessThan((10_000_000 + 3_000_000 + 4_000_000) / 8);
  });

  it('gives a thousand washed contracts the effect of one, beside an honest user of the same node too', () => {
    const others = [rating(`honest@${A}`, -1), rating(`c@${C}`, 1)];
    const washed = Array.from({ length: 1000 }, () => rating(`w@${A}`, 4));
    const first = washed[0];
    if (first === undefined) throw new Error('no rating');
    for (const subject of [SELLER, B]) {
      const one = trustText(trustScore(subject, [...others, first], [A, C]));
      expect(trustText(trustScore(subject, [...others, ...washed], [A, C]))).toBe(one);
    }
  });

  it('scores a node by the ratings of all its users', () => {
    const both = [rating(`a@${A}`, 4), rating(`a@${A}`, 1, { to: `omar@${B}` })];
    expect(trustScore(B, both, [A]).score).toBe(2_083_333); // (10 + 2.5) / 6
    expect(trustScore(SELLER, both, [A]).score).toBe(2_333_333);
    expect(() => trustScore('amina', both, [A])).toThrow(/user@peer-id/);
  });

  it('lets a correction stand in its place, visibly, and only of the same rater and contract', () => {
    const contract = `contracts/${B}/deal`;
    const first = rating(`a@${A}`, -1, { contract });
    const second = rating(`a@${A}`, 1, { contract, supersedes: first.id });
    const third = rating(`a@${A}`, 4, { contract, supersedes: second.id });
    const proof = trustProof(SELLER, [third, first, second], [A]);
    expect(proof.score).toBe(2_333_333);
    const verdicts = new Map(proof.inputs.map(({ id, verdict, by }) => [id, [verdict, by]]));
    expect(verdicts.get(first.id)).toEqual(['superseded', second.id]);
    expect(verdicts.get(second.id)).toEqual(['superseded', third.id]);
    expect(verdicts.get(third.id)).toEqual(['counted', null]);

    const foreign = rating(`c@${C}`, 4, { contract, supersedes: first.id });
    const refused = rating(`a@${A}`, 4, { contract, supersedes: first.id, problem: 'receipt-party' });
    const elsewhere = rating(`a@${A}`, 4, { supersedes: first.id, to: SELLER });
    for (const other of [foreign, refused, elsewhere]) {
      const inputs = trustProof(SELLER, [first, other], [A, C]).inputs;
      expect(inputs.find(({ id }) => id === first.id)?.verdict).toBe('counted');
    }
  });

  it('counts one of several ratings of one contract: the lowest id', () => {
    const contract = `contracts/${B}/deal`;
    const several = [-1, 0, 3, 4].map((score) => rating(`a@${A}`, score, { contract }));
    const lowest = [...several].sort((a, b) => (a.id < b.id ? -1 : 1))[0];
    const proof = trustProof(SELLER, several, [A]);
    expect(proof.nodes[0]?.raters[0]).toMatchObject({ sum: lowest?.score, ratings: 1 });
    expect(proof.inputs.map(({ verdict }) => verdict)).toEqual([
      'counted',
      'duplicate',
      'duplicate',
      'duplicate',
    ]);
    expect(proof.inputs[3]?.by).toBe(lowest?.id);
  });

  it('refuses scores off the scale and raters without a node', () => {
    const bad = [rating(`a@${A}`, 5), rating(`a@${A}`, -2), rating(`a@${A}`, 1.5), rating('a', 4)];
    const proof = trustProof(SELLER, bad, [A]);
    expect(proof.score).toBeNull();
    expect(proof.inputs.map(({ verdict }) => verdict).sort()).toEqual([
      'rating-party',
      'rating-score',
      'rating-score',
      'rating-score',
    ]);
  });

  it.each([1, 2, 3, 4, 5])(
    'gives equal bytes in any order, and another script the same number (seed %i)',
    (seed) => {
      const random = seededRandom(seed);
      const pick = (n: number): number => Math.floor(random() * n);
      const nodes = Array.from({ length: 12 }, (_, i) => peer(100 + i));
      const facts: RatingInput[] = [];
      for (let i = 0; i < 600; i++) {
        const node = nodes[pick(12)] ?? A;
        const from = `u${pick(4)}@${node}`;
        const contract = `contracts/${nodes[0]}/c${pick(40)}`;
        const to = `s${pick(3)}@${nodes[pick(3)]}`;
        const earlier = facts.filter((fact) => fact.from === from);
        const supersedes = random() < 0.4 ? (earlier[pick(earlier.length)]?.id ?? null) : null;
        const corrected = facts.find(({ id }) => id === supersedes);
        const problem = random() < 0.1 ? 'receipt-signature' : null;
        facts.push(
          rating(from, pick(6) - 1, {
            contract: random() < 0.8 ? (corrected?.contract ?? contract) : contract,
            to: random() < 0.8 ? (corrected?.to ?? to) : to,
            supersedes,
            problem,
          }),
        );
      }
      const roots = nodes.slice(2, 10);
      const verdicts = new Set<string>();
      for (const subject of [`s0@${nodes[0]}`, `s1@${nodes[2]}`, `${nodes[1]}`, `${nodes[2]}`]) {
        const proof = trustProof(subject, facts, roots);
        const text = trustText(proof);
        for (const { verdict } of proof.inputs) verdicts.add(verdict);
        for (const again of [1, 2, 3])
          expect(
            trustText(trustProof(subject, shuffled([...facts, ...facts], again), shuffled(roots, again))),
          ).toBe(text);
        expect(recomputed(text)).toBe(BigInt(proof.score ?? Number.NaN));
        expect(trustProofHolds(JSON.parse(text) as typeof proof)).toBe(true);
        expect(trustProofHolds({ ...proof, score: (proof.score ?? 0) + 1 })).toBe(false);
        expect(trustProofHolds({ ...proof, roots: proof.roots.slice(1) })).toBe(false);
      }
      expect([...verdicts].sort()).toEqual([
        'counted',
        'duplicate',
        'not-a-root',
        'own-node',
        'receipt-signature',
        'superseded',
      ]);
    },
  );
});
