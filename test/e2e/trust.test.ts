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
  readonly microPoints: number | null;
  readonly counterparties: number;
}

/** Rounded down, also below 0. */
const floor = (n: bigint, d: bigint): bigint => (n - (((n % d) + d) % d)) / d;
const nodeOf = (party: string): string => party.slice(party.lastIndexOf('@') + 1);

/**
 * The score from the public ratings and the roots, written from the words of the design and from nothing else: one weight for
 * each node that is a root and not the rated one, shared by its raters, theirs by their contracts; five times 2 points beside.
 */
function recomputed(ratings: readonly Rating[], subject: string, roots: readonly string[]): number | null {
  const mine = ratings.filter(
    ({ to, from, problem }) =>
      to === subject && problem === null && nodeOf(from) !== nodeOf(to) && roots.includes(nodeOf(from)),
  );
  const corrected = new Set(mine.map(({ supersedes }) => supersedes));
  const standing = mine.filter(({ id }) => !corrected.has(id));
  const nodes = new Map<string, Map<string, bigint[]>>();
  for (const { from, score } of standing) {
    const raters = nodes.get(nodeOf(from)) ?? new Map<string, bigint[]>();
    nodes.set(nodeOf(from), raters.set(from, [...(raters.get(from) ?? []), BigInt(score)]));
  }
  if (nodes.size === 0) return null;
  let sum = 10_000_000n;
  for (const raters of nodes.values()) {
    let all = 0n;
    for (const scores of raters.values())
      all += floor(scores.reduce((x, y) => x + y) * 1_000_000n, BigInt(scores.length));
    sum += floor(all, BigInt(raters.size));
  }
  return Number(floor(sum, BigInt(nodes.size + 5)));
}

describe('trust over three nodes', () => {
  const federation = new ProcessFederation();
  const keys = new Map<string, string>();
  let a: ProcessMember;
  let b: ProcessMember;
  let c: ProcessMember;
  let ben = '';
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
    const answer = await as(buyer, who, 'POST', '/submitRating', { contractId, score });
    expect(answer.status, await answer.clone().text()).toBe(201);
  }
  const proofAt = async (member: ProcessMember, query = ''): Promise<string> =>
    (await fetch(`${member.url}/trust/${ben}/proof${query}`)).text();
  const scoreAt = (member: ProcessMember, query = ''): Promise<Trust> =>
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
    roots = `?roots=${[a, b, c].map(({ peerId }) => peerId).join()}`;
  });
  afterAll(() => federation.close());

  it('is the same bytes on each, and recomputes to the score', async () => {
    expect((await scoreAt(a)).microPoints).toBeNull();
    const first = await settled(a, 'amina');
    await rated(a, 'amina', first, -1);
    await rated(a, 'anna', await settled(a, 'anna'), 4);
    await rated(c, 'cleo', await settled(c, 'cleo'), -1);
    await rated(a, 'amina', first, 1); // a correction
    for (const member of [a, b, c]) await count(member, 4);
    const [here, ...others] = await Promise.all([a, b, c].map((member) => proofAt(member, roots)));
    for (const other of others) expect(other).toBe(here);
    // The default roots are the same set here: each with the two others.
    expect(await proofAt(c)).toBe(here);
    const { score } = JSON.parse(here ?? '') as { score: number };
    // (10 + (1 + 4) / 2 - 1) / 7
    expect(score).toBe(1_642_857);
    for (const member of [a, b, c])
      expect(recomputed(await ratingsAt(member), ben, [a.peerId, b.peerId, c.peerId])).toBe(score);
    const fromA = await scoreAt(b, `?roots=${a.peerId}`);
    expect(fromA).toMatchObject({
      counterparties: 1,
      microPoints: recomputed(await ratingsAt(b), ben, [a.peerId]),
    });
  });

  it('weighs washed contracts of two users as one', async () => {
    const before = await scoreAt(c, roots);
    const held = (await ratingsAt(a)).length;
    // anna has said 4 already: eight more contracts at 4 say nothing new.
    for (let i = 0; i < 8; i++) await rated(a, 'anna', await settled(a, 'anna'), 4);
    await count(c, held + 8);
    expect(await scoreAt(c, roots)).toEqual({ ...before, reliability: expect.anything() as unknown });
  });

  it('weighs what a node says that is no root as nothing, and shows the node beside its score', async () => {
    const before = await scoreAt(b, roots);
    const held = (await ratingsAt(b)).length;
    const d = await federation.add();
    await join(d, b);
    for (const name of ['s1', 's2', 's3']) {
      await user(d, name);
      await rated(d, name, await settled(d, name), 4);
    }
    await count(b, held + 3);
    expect(await scoreAt(b, roots)).toMatchObject({ ...before, reliability: expect.anything() as unknown });
    // As b sees it, with d registered: one counterparty more, whatever the number of its users.
    expect((await scoreAt(b)).counterparties).toBe(3);
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
    expect((await scoreAt(b)).counterparties).toBe(3);
  });
});
