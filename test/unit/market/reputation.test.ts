import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { NOTE_KINDS, type NoteInput, type NoteKind } from '../../../protocols/market/rating-notes.ts';
import { atOnce } from '../../../protocols/ledger/turn.ts';
import { LBTAS } from '../../../protocols/market/lbtas.ts';
import type { RatingInput } from '../../../protocols/market/rating-verdicts.ts';
import {
  keptContracts,
  percentKept,
  type ReputationFacts,
  reputationProof,
  type ReputationProof,
  reputationText,
  type ReputationView,
  type RoleReputation,
} from '../../../protocols/market/reputation.ts';
import { canonicalJson } from '../../../protocols/wire/json.ts';
import { sha256Hex } from '../../../protocols/wire/bytes.ts';
import { identityFromSeed, parsePeerId, type PeerId } from '../../../protocols/wire/identity.ts';
import { seededRandom } from '../../support/random.ts';

const peer = (n: number) =>
  identityFromSeed(Uint8Array.from({ length: 32 }, (_, i) => (i < 4 ? (n >>> (8 * i)) & 255 : 7))).peerId;
const [A, B, C, D] = [peer(1), peer(2), peer(3), peer(4)];
const SELLER = `amina@${B}`;
const DAY = 86_400_000;
const SETTLED = 1_800_000_000_000;
const DEADLINE = SETTLED + 90 * DAY;

let serial = 0;
function rating(from: string, score: number, more: Partial<RatingInput> = {}): RatingInput {
  const contract = more.contract ?? `contracts/${B}/c${serial++}`;
  const id = `ratings/${from.slice(from.lastIndexOf('@') + 1)}/${sha256Hex(JSON.stringify([from, score, contract, more])).slice(0, 43)}`;
  const times = { signedAt: SETTLED + DAY, settledAt: SETTLED };
  return {
    id,
    from,
    to: SELLER,
    score,
    contract,
    role: 'market_seller',
    ...times,
    supersedes: null,
    problem: null,
    ...more,
  };
}

function note(by: string, kind: NoteKind, on: RatingInput, more: Partial<NoteInput> = {}): NoteInput {
  const id = `rating-notes/${by.slice(by.lastIndexOf('@') + 1)}/${sha256Hex(JSON.stringify([by, kind, on.id, more])).slice(0, 43)}`;
  return {
    id,
    rating: on.id,
    to: on.to,
    kind,
    by,
    why: 'mistaken',
    signedAt: SETTLED + 2 * DAY,
    supersedes: null,
    problem: null,
    ...more,
  };
}

const seen = (roots: readonly PeerId[], more: Partial<ReputationView> = {}): ReputationView => ({
  roots,
  adjudicators: [],
  asOf: SETTLED + 10 * DAY,
  ...more,
});
const proofOf = (subject: string, facts: ReputationFacts, view: ReputationView): ReputationProof =>
  atOnce(reputationProof(subject, facts, view));
const textOf = (proof: ReputationProof): string => [...reputationText(proof)].join('');
/** Whether the proof's own inputs give exactly this proof. */
const holds = (proof: ReputationProof): boolean => {
  const facts = { received: proof.inputs, given: proof.given, notes: proof.notes };
  const peers = (ids: readonly string[]): PeerId[] => ids.map(parsePeerId).filter((id) => id !== undefined);
  const [roots, adjudicators] = [peers(proof.roots), peers(proof.adjudicators)];
  return textOf(proofOf(proof.subject, facts, { roots, adjudicators, asOf: proof.asOf })) === textOf(proof);
};
const of = (facts: Iterable<RatingInput> | ReputationFacts, view: ReputationView, subject = SELLER) =>
  proofOf(subject, 'received' in facts ? facts : { received: facts }, view);
const asSeller = (facts: Iterable<RatingInput> | ReputationFacts, view: ReputationView): RoleReputation => {
  const found = of(facts, view).roles.find(({ role }) => role === 'market_seller');
  if (found === undefined) throw new Error('nothing is known of the seller');
  return found;
};
/** What is shown, without the evidence. */
const shown = (facts: Iterable<RatingInput>, view: ReputationView, subject = SELLER): string => {
  const { roles } = of(facts, view, subject);
  return JSON.stringify(
    roles.map(({ role, active }) => [role, active.levels, active.nodes, active.breaches]),
  );
};

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

interface Script {
  readonly subject: string;
  readonly roots: string[];
  readonly adjudicators: string[];
  readonly asOf: number;
  readonly inputs: RatingInput[];
  readonly given: RatingInput[];
  readonly notes: NoteInput[];
}

/** Another implementation, from the proof's text alone: it takes no verdict, no default and no count from it. */
function recomputed(text: string): Record<string, Record<string, number[]>> {
  const { subject, roots, adjudicators, asOf, inputs, given, notes } = JSON.parse(text) as Script;
  const home = (party: string): string => party.slice(-52);
  const late = (r: RatingInput): boolean => r.signedAt - r.settledAt > 7_776_000_000;
  const isOf = (party: string): boolean => party === subject || home(party) === subject;
  const able = inputs.filter(
    (r) =>
      r.problem === null && r.role !== null && home(r.from) !== home(r.to) && roots.includes(home(r.from)),
  );
  const same = (a: RatingInput, b: RatingInput): boolean =>
    a.from === b.from && a.to === b.to && a.contract === b.contract && late(a) === late(b);
  const standing = able.filter(
    (r) => isOf(r.to) && !able.some((newer) => newer !== r && newer.supersedes === r.id && same(newer, r)),
  );
  const first = standing.filter((r) => !standing.some((other) => other.id < r.id && same(other, r)));
  const word = (on: RatingInput, node: string): string | null | undefined => {
    const own = notes.filter((n) => n.problem === null && n.rating === on.id && home(n.by) === node);
    const left = own.filter((n) => !own.some((newer) => newer !== n && newer.supersedes === n.id));
    return left.sort((a, b) => (a.id < b.id ? -1 : 1))[0]?.kind;
  };
  const isDismissed = (r: RatingInput): boolean => {
    if (word(r, home(r.from)) === 'dismiss') return true;
    const judges = adjudicators.filter((node) => node !== home(r.to) && node !== home(r.from));
    const words = judges.map((node) => word(r, node));
    return words.includes('dismiss') && !words.includes('uphold');
  };
  const out: Record<string, Record<string, number[]>> = {};
  const add = (role: string, list: string, node: string, score: number): void => {
    const lists = (out[role] ??= {});
    (lists[`${list} ${node}`] ??= []).push(score);
  };
  for (const r of first)
    add(String(r.role), isDismissed(r) ? 'dismissed' : late(r) ? 'late' : 'active', home(r.from), r.score);
  const silent = new Set<string>();
  for (const r of [...given].sort((a, b) => (a.id < b.id ? -1 : 1))) {
    const answered = inputs.some(
      (back) =>
        back.problem === null &&
        !late(back) &&
        back.contract === r.contract &&
        back.from === r.to &&
        back.to === r.from,
    );
    const pair = `${r.contract} ${r.to} ${r.from}`;
    if (answered || silent.has(pair) || !(asOf - r.settledAt > 7_776_000_000)) continue;
    silent.add(pair);
    if (home(r.to) === home(r.from) || !roots.includes(home(r.to))) continue;
    add(r.role === 'market_seller' ? 'market_buyer' : 'market_seller', 'defaulted', home(r.to), 2);
  }
  const counts: Record<string, Record<string, number[]>> = {};
  for (const [role, lists] of Object.entries(out))
    for (const [name, scores] of Object.entries(lists)) {
      const list = name.split(' ')[0] ?? '';
      const levels = ((counts[role] ??= {})[list] ??= [0, 0, 0, 0, 0, 0]);
      const middle = scores.sort((a, b) => a - b)[((scores.length + 1) >> 1) - 1] ?? 0;
      levels[middle + 1] = (levels[middle + 1] ?? 0) + 1;
    }
  return counts;
}

describe('P3-014', () => {
  it('1: levels are whole numbers from -1 to 4, and -1 is a breach', () => {
    const bad = [rating(`a@${A}`, 5), rating(`a@${A}`, -2), rating(`a@${A}`, 1.5), rating('a', 4)];
    const proof = of(bad, seen([A]));
    expect(proof.roles).toEqual([]);
    expect(proof.inputs.map(({ verdict }) => verdict).sort()).toEqual([
      'rating-party',
      'rating-score',
      'rating-score',
      'rating-score',
    ]);
    expect(LBTAS.levels).toHaveLength(6);
    const harmed = of([rating(`a@${A}`, -1), rating(`c@${C}`, 0)], seen([A, C]));
    expect(harmed.roles[0]?.active).toMatchObject({ levels: [1, 1, 0, 0, 0, 0], breaches: 1 });
    expect([harmed.contracts, harmed.kept, harmed.counterparties, percentKept(harmed)]).toEqual([
      2, 1, 2, 50,
    ]);
    expect(percentKept(of([], seen([A])))).toBeNull();
  });

  it('2: a reputation is a distribution with its total and its times, and nothing in it is an average', () => {
    const facts = [
      rating(`a@${A}`, 4),
      rating(`c@${C}`, 4, { signedAt: SETTLED + 3 * DAY }),
      rating(`d@${D}`, 0, { signedAt: SETTLED + 2 * DAY }),
    ];
    expect(asSeller(facts, seen([A, C, D])).active).toEqual({
      levels: [0, 1, 0, 0, 0, 2],
      nodes: 3,
      ratings: 3,
      breaches: 0,
      first: SETTLED + DAY,
      last: SETTLED + 3 * DAY,
    });
    expect(textOf(of(facts, seen([A, C, D])))).not.toMatch(/mean|average|score":\d+\.\d/);
  });

  it('3: roles are kept apart', () => {
    const facts = [rating(`a@${A}`, 4), rating(`c@${C}`, 0, { role: 'market_buyer' })];
    const { roles } = of(facts, seen([A, C]));
    expect(roles.map(({ role, active }) => [role, active.levels])).toEqual([
      ['market_seller', [0, 0, 0, 0, 0, 1]],
      ['market_buyer', [0, 1, 0, 0, 0, 0]],
    ]);
  });

  it('5: a dismissed rating stays visible, with who and why', () => {
    const harm = rating(`a@${A}`, -1);
    const notes = [note(`a@${A}`, 'dismiss', harm)];
    const proof = of({ received: [harm], notes }, seen([A]));
    expect(proof.roles[0]).toMatchObject({
      active: { nodes: 0 },
      dismissed: { levels: [1, 0, 0, 0, 0, 0], ratings: 1 },
    });
    expect(proof.notes).toEqual([{ ...notes[0], verdict: 'effective', side: 'rater' }]);
    expect(proof.inputs[0]).toMatchObject({ verdict: 'dismissed', score: -1 });
  });

  it('6: both directions are contestable, nobody clears itself, and no node is above another', () => {
    const harm = rating(`a@${A}`, -1);
    const contest = note(SELLER, 'contest', harm);
    const cleared = note(SELLER, 'dismiss', harm);
    const view = note(`op@${C}`, 'dismiss', harm);
    const as = (notes: NoteInput[], adjudicators: PeerId[] = []): string =>
      of({ received: [harm], notes }, seen([A, B, C, D], { adjudicators })).inputs.map(
        ({ verdict, contested, upheld }) =>
          [verdict, contested ? 'contested' : '', upheld ? 'upheld' : ''].join(' ').trim(),
      )[0] ?? '';
    expect(as([contest])).toBe('active contested');
    expect(as([cleared])).toBe('active');
    expect(as([cleared], [B])).toBe('active');
    expect(as([view])).toBe('active');
    expect(as([view], [C])).toBe('dismissed');
    expect(as([view, note(`op@${D}`, 'uphold', harm)], [C, D])).toBe('active  upheld');
    expect(as([contest, note(`a@${A}`, 'uphold', harm)])).toBe('active contested upheld');
    // A note that names somebody else as rated is none of this rating's.
    expect(as([note(SELLER, 'contest', harm, { to: `omar@${B}` })])).toBe('active');
    // A word of the rater's node counts for its own ratings alone, and a contest for the rated party's.
    expect(as([note(`x@${D}`, 'contest', harm)], [D])).toBe('active');
    const replaced = note(`a@${A}`, 'dismiss', harm);
    expect(as([replaced, note(`a@${A}`, 'uphold', harm, { supersedes: replaced.id })])).toBe(
      'active  upheld',
    );
    const back = rating(SELLER, -1, { to: `a@${A}`, role: 'market_buyer' });
    const proof = of({ received: [back], notes: [note(`a@${A}`, 'contest', back)] }, seen([B]), `a@${A}`);
    expect(proof.inputs[0]).toMatchObject({ verdict: 'active', contested: true });
  });

  it('7: who is silent for 90 days counts as +2, marked and in a list of its own', () => {
    const given = rating(SELLER, 3, {
      to: `omar@${A}`,
      role: 'market_buyer',
      contract: `contracts/${A}/deal`,
    });
    const at = (asOf: number, received: RatingInput[] = []) =>
      of({ received, given: [given] }, seen([A], { asOf }));
    expect(at(DEADLINE).roles).toEqual([]);
    expect(at(DEADLINE + 1).roles[0]).toMatchObject({
      role: 'market_seller',
      active: { nodes: 0 },
      defaulted: { levels: [0, 0, 0, 1, 0, 0], nodes: 1, first: DEADLINE },
    });
    const answer = (more: Partial<RatingInput>) =>
      rating(`omar@${A}`, -1, { contract: given.contract, ...more });
    expect(at(DEADLINE + 1, [answer({ signedAt: DEADLINE })]).roles[0]).toMatchObject({
      active: { levels: [1, 0, 0, 0, 0, 0] },
      defaulted: { nodes: 0 },
    });
    // A late -1 is never hidden, and takes back nothing: in time the party was silent.
    expect(at(DEADLINE + 1, [answer({ signedAt: DEADLINE + 1 })]).roles[0]).toMatchObject({
      active: { nodes: 0 },
      late: { levels: [1, 0, 0, 0, 0, 0], breaches: 1 },
      defaulted: { nodes: 1 },
    });
    // Only under the root and node rules of all ratings.
    expect(of({ received: [], given: [given] }, seen([C], { asOf: DEADLINE + 1 })).roles).toEqual([]);
    const own = { ...given, to: `juma@${B}` };
    const alone = of({ received: [], given: [own] }, seen([B], { asOf: DEADLINE + 1 }));
    expect(alone.defaults).toMatchObject([{ verdict: 'own-node' }]);
    expect(alone.roles).toEqual([]);
  });
});

/** The files of the program whose values a file imports, directly or by way of others. */
function importsOf(file: string, seen = new Set<string>()): Set<string> {
  for (const imported of directImportsOf(file))
    if (!seen.has(imported)) importsOf(imported, seen.add(imported));
  return seen;
}

const direct = new Map<string, readonly string[]>();
function directImportsOf(file: string): readonly string[] {
  const known = direct.get(file);
  if (known !== undefined) return known;
  const text = readFileSync(file, 'utf8').replaceAll(/^(?:im|ex)port type [^;]*;/gm, '');
  const found = [...text.matchAll(/(?:from|import\() ?'(\.[^']+\.ts)'/g)]
    .map(([, path = '']) => resolve(dirname(file), path))
    .filter((each) => existsSync(each));
  direct.set(file, found);
  return found;
}

/** What decides who may do what, and how much. */
const DECIDING_FOLDERS = [
  'api/limits',
  'daemon/access',
  'daemon/sms',
  'daemon/wants',
  'protocols/ledger',
  'protocols/feed',
  'protocols/registry',
  'protocols/discovery',
  'protocols/market/contract',
  'protocols/market/contract-book',
];
const DECIDING_FILES = [
  'api/access.ts',
  'api/authenticate.ts',
  'daemon/quotas.ts',
  'daemon/stranger-gate.ts',
];

describe('P3-014, by what imports it', () => {
  it('8: nothing that decides who may do what, or how much, can read a reputation', () => {
    const root = resolve(import.meta.dirname, '../../..');
    const reputations = ['reputation', 'rating-distribution', 'ratings'].map((name) =>
      resolve(root, `protocols/market/${name}.ts`),
    );
    const inFolders = DECIDING_FOLDERS.flatMap((folder) =>
      readdirSync(resolve(root, folder), { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.ts'))
        .map((name) => `${folder}/${name}`),
    );
    const deciding = [...inFolders, ...DECIDING_FILES].map((file) => resolve(root, file));
    expect(deciding.length).toBeGreaterThan(80);
    for (const file of deciding)
      for (const each of reputations) expect(importsOf(file).has(each), `${file} reads ${each}`).toBe(false);
    // That it would be found.
    expect(importsOf(resolve(root, 'daemon/market/trust.ts')).has(reputations[0] ?? '')).toBe(true);
  });
});

describe('a reputation', () => {
  it('is the same with and without a hundred strangers', () => {
    const roots = [A, C];
    const honest = [rating(`a@${A}`, 3), rating(`c@${C}`, 1)];
    const strangers = Array.from({ length: 100 }, (_, i) => rating(`x@${peer(1000 + i)}`, i % 2 ? 4 : -1));
    for (const subject of [SELLER, B, `nobody@${B}`])
      expect(shown([...strangers, ...honest], seen(roots), subject)).toBe(
        shown(honest, seen(roots), subject),
      );
    const { inputs } = of([...honest, ...strangers], seen(roots));
    expect(inputs.filter(({ verdict }) => verdict === 'not-a-root')).toHaveLength(100);
  });

  it('takes a thousand users of one node as one node, and those of the rated node not at all', () => {
    const honest = [rating(`c@${C}`, 1), rating(`d@${D}`, 2)];
    const roots = [A, B, C, D];
    const users = Array.from({ length: 1000 }, (_, i) => rating(`u${i}@${A}`, 4));
    const asOne = shown([...honest, rating(`u0@${A}`, 4)], seen(roots));
    expect(shown([...honest, ...users], seen(roots))).toBe(asOne);
    const own = Array.from({ length: 1000 }, (_, i) => rating(`u${i}@${B}`, 4));
    expect(shown([...honest, ...own], seen(roots))).toBe(shown(honest, seen(roots)));
  });

  it('gives a thousand washed contracts the effect of one', () => {
    const others = [rating(`c@${C}`, 1), rating(`d@${D}`, -1)];
    const washed = Array.from({ length: 1000 }, () => rating(`w@${A}`, 4));
    for (const subject of [SELLER, B])
      expect(shown([...others, ...washed], seen([A, C, D]), subject)).toBe(
        shown([...others, ...washed.slice(0, 1)], seen([A, C, D]), subject),
      );
  });

  it('takes of a node the lower median, and names every node that gave a breach', () => {
    const levels = (...scores: number[]): readonly number[] =>
      asSeller(
        scores.map((score, i) => rating(`u${i}@${A}`, score)),
        seen([A]),
      ).active.levels;
    expect(levels(4, 0)).toEqual([0, 1, 0, 0, 0, 0]);
    expect(levels(4, 3, 0)).toEqual([0, 0, 0, 0, 1, 0]);
    expect(levels(-1, 4, 4, 4)).toEqual([0, 0, 0, 0, 0, 1]);
    const hidden = asSeller([rating(`u@${A}`, -1), rating(`v@${A}`, 4), rating(`w@${A}`, 4)], seen([A]));
    expect(hidden.active).toMatchObject({ nodes: 1, ratings: 3, breaches: 1 });
  });

  it('of a node is that of all its users', () => {
    const both = [rating(`a@${A}`, 4), rating(`c@${C}`, 1, { to: `omar@${B}` })];
    expect(of(both, seen([A, C]), B).roles[0]?.active.levels).toEqual([0, 0, 1, 0, 0, 1]);
    expect(of(both, seen([A, C])).roles[0]?.active.levels).toEqual([0, 0, 0, 0, 0, 1]);
    expect(() => of(both, seen([A]), 'amina')).toThrow(/user@peer-id/);
  });

  it('lets a correction stand in its place, visibly, and only of the same rater and contract', () => {
    const contract = `contracts/${B}/deal`;
    const first = rating(`a@${A}`, -1, { contract });
    const second = rating(`a@${A}`, 1, { contract, supersedes: first.id });
    const third = rating(`a@${A}`, 4, { contract, supersedes: second.id });
    const { inputs } = of([third, first, second], seen([A]));
    const verdicts = new Map(inputs.map(({ id, verdict, by }) => [id, [verdict, by]]));
    expect(verdicts.get(first.id)).toEqual(['superseded', second.id]);
    expect(verdicts.get(second.id)).toEqual(['superseded', third.id]);
    expect(verdicts.get(third.id)).toEqual(['active', null]);

    const others = [
      rating(`c@${C}`, 4, { contract, supersedes: first.id }),
      rating(`a@${A}`, 4, { contract, supersedes: first.id, problem: 'receipt-party' }),
      rating(`a@${A}`, 4, { supersedes: first.id, to: SELLER }),
      // What was said in time is not unsaid later.
      rating(`a@${A}`, 4, { contract, supersedes: first.id, signedAt: DEADLINE + 1 }),
    ];
    for (const other of others) {
      const verdict = of([first, other], seen([A, C])).inputs.find(({ id }) => id === first.id)?.verdict;
      expect(verdict).toBe('active');
    }
  });

  it('counts one of several ratings of one contract: the lowest id', () => {
    const contract = `contracts/${B}/deal`;
    const several = [-1, 0, 3, 4].map((score) => rating(`a@${A}`, score, { contract }));
    const lowest = [...several].sort((a, b) => (a.id < b.id ? -1 : 1))[0];
    const { inputs } = of(several, seen([A]));
    expect(inputs.map(({ verdict }) => verdict)).toEqual(['active', 'duplicate', 'duplicate', 'duplicate']);
    expect(inputs[0]?.id).toBe(lowest?.id);
    expect(inputs[3]?.by).toBe(lowest?.id);
  });

  it.each([1, 2, 3, 4, 5])(
    'gives equal bytes in any order, and another script the same counts (seed %i)',
    (seed) => {
      const random = seededRandom(seed);
      const pick = (n: number): number => Math.floor(random() * n);
      const nodes = Array.from({ length: 12 }, (_, i) => peer(100 + i));
      const party = (): string => `u${pick(3)}@${nodes[pick(6)] ?? A}`;
      const facts: RatingInput[] = [];
      for (let i = 0; i < 600; i++) {
        const [from, to] = [party(), party()];
        const own = facts.filter((fact) => fact.from === from);
        const older = random() < 0.4 ? own[pick(own.length)] : undefined;
        const contract = older?.contract ?? `contracts/${nodes[0] ?? A}/c${pick(40)}`;
        facts.push(
          rating(from, pick(6) - 1, {
            to: older?.to ?? to,
            contract,
            role: random() < 0.5 ? 'market_seller' : 'market_buyer',
            signedAt: SETTLED + pick(120) * DAY,
            settledAt: SETTLED + pick(5) * DAY,
            supersedes: older?.id ?? null,
            problem: random() < 0.1 ? 'receipt-party' : null,
          }),
        );
      }
      const notes: NoteInput[] = [];
      for (let i = 0; i < 200; i++) {
        const on = facts[pick(facts.length)];
        if (on === undefined) continue;
        const kind = NOTE_KINDS[pick(3)] ?? 'contest';
        const by = random() < 0.5 ? on.from : random() < 0.5 ? on.to : party();
        const own = notes.filter((one) => one.rating === on.id && one.by === by);
        notes.push(
          note(by, kind, on, { supersedes: own[pick(own.length)]?.id ?? null, signedAt: SETTLED + i }),
        );
      }
      const view = seen(nodes.slice(0, 5), { adjudicators: nodes.slice(3, 8), asOf: SETTLED + 200 * DAY });
      for (const subject of [`u0@${nodes[0] ?? A}`, nodes[1] ?? A, `u2@${nodes[4] ?? A}`]) {
        const text = textOf(proofOf(subject, { received: facts, given: facts, notes }, view));
        const again = proofOf(
          subject,
          {
            received: shuffled(facts, random),
            given: shuffled(facts, random),
            notes: shuffled(notes, random),
          },
          { ...view, roots: shuffled([...view.roots], random) },
        );
        expect(textOf(again)).toBe(text);
        // Pieces of it are those of RFC 8785, and what is counted alone is the same.
        expect(canonicalJson(again)).toBe(text);
        const { contracts, kept, counterparties } = again;
        const alone = atOnce(keptContracts(subject, { received: facts, notes }, view));
        expect(alone).toEqual({ contracts, kept, counterparties });
        expect(holds(again)).toBe(true);
        expect(holds({ ...again, kept: again.kept + 1 })).toBe(false);
        const counts: Record<string, Record<string, number[]>> = {};
        for (const { role, active, late, defaulted, dismissed } of again.roles)
          for (const [list, { nodes: known, levels }] of Object.entries({
            active,
            late,
            defaulted,
            dismissed,
          }))
            if (known > 0) (counts[role] ??= {})[list] = [...levels];
        expect(recomputed(text)).toEqual(counts);
        expect(again.roles.some(({ defaulted }) => defaulted.nodes > 0)).toBe(true);
      }
    },
  );
});
