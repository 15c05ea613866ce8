import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { join } from '../support/daemon.ts';
import { ProcessFederation, type ProcessMember } from '../support/federation.ts';
import { waitFor } from '../support/wait.ts';
import { deal } from '../support/terms.ts';

interface Rating {
  readonly id: string;
  readonly contractId: string;
  readonly from: string;
  readonly to: string;
  readonly score: number;
  readonly supersedes: string | null;
  readonly problem: string | null;
}
interface Trust {
  readonly roles: readonly {
    readonly role: string;
    readonly active: { readonly levels: Record<string, number>; readonly nodes: number };
  }[];
}

const nodeOf = (party: string): string => party.slice(party.lastIndexOf('@') + 1);

/**
 * The levels of a seller from the public ratings and the roots, written from the words of the specification and from nothing else: each node
 * that is a root and not the rated one gives one level, the lower median of its users' ratings.
 */
function recomputed(ratings: readonly Rating[], subject: string, roots: readonly string[]): number[] {
  const mine = ratings.filter(
    ({ to, from, problem }) =>
      to === subject && problem === null && nodeOf(from) !== nodeOf(to) && roots.includes(nodeOf(from)),
  );
  const corrected = new Set(mine.map(({ supersedes }) => supersedes));
  const standing = mine.filter(({ id }) => !corrected.has(id));
  const levels = [0, 0, 0, 0, 0, 0];
  for (const given of Map.groupBy(standing, ({ from }) => nodeOf(from)).values()) {
    const scores = given.map(({ score }) => score).sort((x, y) => x - y);
    const median = scores[Math.ceil(scores.length / 2) - 1] ?? 0;
    levels[median + 1] = (levels[median + 1] ?? 0) + 1;
  }
  return levels;
}
const levelsOf = ({ roles }: Trust): number[] | undefined => {
  const levels = roles.find(({ role }) => role === 'market_seller')?.active.levels;
  return levels && [-1, 0, 1, 2, 3, 4].map((level) => levels[level] ?? 0);
};
const nodesOf = ({ roles }: Trust): number | undefined => roles[0]?.active.nodes;

describe('trust over three nodes', () => {
  const federation = new ProcessFederation();
  const keys = new Map<string, string>();
  let a: ProcessMember;
  let b: ProcessMember;
  let c: ProcessMember;
  let ben = '';
  /** The same question at the same moment, by nobody's notes. */
  let same = '';
  let roots = '';

  async function as(member: ProcessMember, user: string, method: string, path: string, body?: unknown) {
    return fetch(member.url + path, {
      method,
      headers: {
        'x-api-key': keys.get(user) ?? '',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }
  async function user(member: ProcessMember, userId: string): Promise<void> {
    const scopes = ['read', 'write'];
    keys.set(userId, (await member.json<{ key: string }>('POST', '/api/keys', { userId, scopes })).key);
  }
  async function reaches(member: ProcessMember, who: string, id: string, state: string): Promise<void> {
    await waitFor(`${who} to see it ${state}`, async () => {
      const seen = await as(member, who, 'GET', `/contracts/${id}`);
      return ((await seen.json()) as { state?: string }).state === state;
    });
  }
  /** Somebody buys from ben; both settle. */
  async function settled(buyer: ProcessMember, who: string): Promise<string> {
    const made = await as(buyer, who, 'POST', '/contracts', {
      ...deal(1),
      title: 'Beans',
      buyerId: who,
      supplierId: ben,
    });
    expect(made.status).toBe(201);
    const { contractId: id } = (await made.json()) as { contractId: string };
    await reaches(b, 'ben', id, 'proposed');
    expect((await as(b, 'ben', 'POST', `/contracts/${id}/accept`, {})).status).toBe(200);
    await reaches(buyer, who, id, 'accepted');
    for (const [member, name] of [
      [buyer, who],
      [b, 'ben'],
    ] as const)
      expect((await as(member, name, 'POST', `/contracts/${id}/settle`, {})).status).toBe(200);
    await reaches(buyer, who, id, 'settled');
    return id;
  }
  async function rated(buyer: ProcessMember, who: string, contractId: string, score: number): Promise<void> {
    const reason = score === -1 ? { comment: 'it never came' } : {};
    const answer = await as(buyer, who, 'POST', '/submitRating', { contractId, score, ...reason });
    expect(answer.status, await answer.clone().text()).toBe(201);
  }
  const proofAt = async (member: ProcessMember, query = ''): Promise<string> =>
    (await fetch(`${member.url}/trust/${ben}/proof${query}`)).text();
  const trustAt = (member: ProcessMember, query = ''): Promise<Trust> =>
    member.json<Trust>('GET', `/trust/${ben}${query}`);
  const ratingsAt = async (member: ProcessMember): Promise<Rating[]> =>
    (await member.json<{ ratings: Rating[] }>('GET', '/ratings?limit=500')).ratings;
  const count = async (member: ProcessMember, expected: number): Promise<void> => {
    await waitFor('the ratings', async () => (await ratingsAt(member)).length === expected);
  };

  beforeAll(async () => {
    a = await federation.add();
    b = await federation.add();
    c = await federation.add();
    await federation.registerAll();
    for (const name of ['amina', 'anna']) await user(a, name);
    await user(b, 'ben');
    await user(c, 'cleo');
    ben = `ben@${b.peerId}`;
    same = '?adjudicators=&asOf=2030-01-01T00:00:00Z';
    roots = `${same}&roots=${[a, b, c].map(({ peerId }) => peerId).join()}`;
  }, 60_000);
  afterAll(() => federation.close());

  it('is the same bytes on each, and recomputes to the levels', async () => {
    expect((await trustAt(a)).roles).toEqual([]);
    const first = await settled(a, 'amina');
    await rated(a, 'amina', first, -1);
    await rated(a, 'anna', await settled(a, 'anna'), 4);
    await rated(c, 'cleo', await settled(c, 'cleo'), -1);
    await rated(a, 'amina', first, 1); // a correction
    for (const member of [a, b, c]) await count(member, 4);
    const [here, ...others] = await Promise.all([a, b, c].map((member) => proofAt(member, roots)));
    for (const other of others) expect(other).toBe(here);
    // The default roots are the same set here: each with the two others.
    expect(await proofAt(c, same)).toBe(here);
    // a's users gave 1, as corrected, and 4; c's gave -1.
    for (const member of [a, b, c]) {
      expect(levelsOf(await trustAt(member, roots))).toEqual([1, 0, 1, 0, 0, 0]);
      expect(recomputed(await ratingsAt(member), ben, [a.peerId, b.peerId, c.peerId])).toEqual([
        1, 0, 1, 0, 0, 0,
      ]);
    }
    const fromA = await trustAt(b, `?roots=${a.peerId}`);
    expect(levelsOf(fromA)).toEqual(recomputed(await ratingsAt(b), ben, [a.peerId]));
  });

  it('takes washed contracts of two users as one level', async () => {
    const before = await trustAt(c, roots);
    const held = (await ratingsAt(a)).length;
    // Eight more contracts at 4 move the one level of their node, and add no other.
    for (let i = 0; i < 8; i++) await rated(a, 'anna', await settled(a, 'anna'), 4);
    await count(c, held + 8);
    expect(levelsOf(await trustAt(c, roots))).toEqual([1, 0, 0, 0, 0, 1]);
    expect(nodesOf(await trustAt(c, roots))).toBe(nodesOf(before));
  });

  it('weighs what a node says that is no root as nothing, and shows the node beside its score', async () => {
    const before = await trustAt(b, roots);
    const held = (await ratingsAt(b)).length;
    const d = await federation.add();
    await join(d, b);
    for (const name of ['s1', 's2', 's3']) {
      await user(d, name);
      await rated(d, name, await settled(d, name), 4);
    }
    await count(b, held + 3);
    expect(await trustAt(b, roots)).toMatchObject({ ...before, reliability: expect.anything() as unknown });
    // As b sees it, with d registered: one counterparty more, whatever the number of its users.
    expect(nodesOf(await trustAt(b))).toBe(3);
    // The others do not hold a word of it.
    expect((await ratingsAt(a)).length).toBe(held);
    expect(await d.stop('SIGKILL')).toBeNull();
    const failed = await waitFor('a sync with it to fail', async () => {
      await b.request('POST', '/federation/pull', { sourceUrl: d.url });
      const { reliability } = await b.json<{ reliability: { syncsFailed: number } }>(
        'GET',
        `/trust/${d.peerId}`,
      );
      return reliability.syncsFailed > 0 && reliability;
    });
    expect(failed).toMatchObject({ invalidEntries: 0, equivocations: 0 });
    expect(nodesOf(await trustAt(b))).toBe(3);
  });
});
