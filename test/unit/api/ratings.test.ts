import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { befriend, startNode, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { waitFor } from '../../support/wait.ts';
import { deal } from '../../support/terms.ts';

interface Rating {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly score: number;
  readonly supersedes: string | null;
  readonly message: string;
  readonly code: string;
}
interface Trust {
  readonly subject: string;
  readonly roles: readonly {
    readonly role: string;
    readonly active: {
      readonly levels: Readonly<Record<string, number>>;
      readonly nodes: number;
      readonly ratings: number;
      readonly breaches: number;
    };
    readonly dismissed: { readonly ratings: number };
    readonly contested: number;
  }[];
  readonly contracts: number;
  readonly percentKept: number | null;
  readonly reliability: Readonly<Record<string, unknown>>;
}

const dirs = [tempDir('ratings'), tempDir('ratings')] as const;
/** One moment for proofs that are compared. */
const AS_OF = '?asOf=2030-01-01T00:00:00Z';
const keys = new Map<string, string>();
let a: TestNode;
let b: TestNode;
let amina = '';
let ben = '';

const as = async (node: TestNode, user: string, method: string, path: string, body?: unknown) =>
  node.app.request(path, {
    method,
    headers: {
      'x-api-key': keys.get(user) ?? '',
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
const rate = async (node: TestNode, user: string, body: unknown): Promise<[number, Rating]> => {
  const response = await as(node, user, 'POST', '/submitRating', body);
  return [response.status, (await response.json()) as Rating];
};
const trust = async (node: TestNode, id: string): Promise<Trust> =>
  (await (await node.app.request(`/trust/${encodeURIComponent(id)}`)).json()) as Trust;
/** Nodes by the level they gave, from -1 to 4; nothing where nobody has rated. */
const levelsOf = ({ roles }: Trust, as = 'market_seller'): readonly number[] | undefined => {
  const levels = roles.find(({ role }) => role === as)?.active.levels;
  return levels && [-1, 0, 1, 2, 3, 4].map((level) => levels[level] ?? 0);
};
const stateAt = async (node: TestNode, user: string, id: string): Promise<string> =>
  ((await (await as(node, user, 'GET', `/contracts/${id}`)).json()) as { state: string }).state;

/** A contract between amina, who buys, and ben; accepted, and with `settle` settled by both. */
async function contract(settle: boolean): Promise<string> {
  const made = await as(a, 'amina', 'POST', '/contracts', {
    ...deal(2),
    price: 30,
    buyerId: 'amina',
    supplierId: ben,
  });
  expect(made.status).toBe(201);
  const { contractId: id } = (await made.json()) as { contractId: string };
  await waitFor('the proposal', async () => (await stateAt(b, 'ben', id)) === 'proposed');
  expect((await as(b, 'ben', 'POST', `/contracts/${id}/accept`, {})).status).toBe(200);
  await waitFor('the agreement', async () => (await stateAt(a, 'amina', id)) === 'accepted');
  if (!settle) return id;
  expect((await as(a, 'amina', 'POST', `/contracts/${id}/settle`, {})).status).toBe(200);
  expect((await as(b, 'ben', 'POST', `/contracts/${id}/settle`, {})).status).toBe(200);
  for (const [node, user] of [
    [a, 'amina'],
    [b, 'ben'],
  ] as const)
    await waitFor('both to have settled', async () => (await stateAt(node, user, id)) === 'settled');
  return id;
}

beforeAll(async () => {
  a = await startNode(dirs[0].path);
  b = await startNode(dirs[1].path, { MYCELIUM_PEERS: a.addresses[0] ?? '' });
  await befriend(a, b);
  for (const [node, userId] of [
    [a, 'amina'],
    [a, 'anna'],
    [b, 'ben'],
  ] as const) {
    const issued = await node.request('POST', '/api/keys', { userId, scopes: ['read', 'write'] });
    keys.set(userId, ((await issued.json()) as { key: string }).key);
  }
  amina = `amina@${a.peerId}`;
  ben = `ben@${b.peerId}`;
});
afterAll(async () => {
  await Promise.all([a.stop(), b.stop()]);
  for (const dir of dirs) dir.remove();
});

describe('POST /submitRating', () => {
  let settled = '';
  beforeAll(async () => {
    settled = await contract(true);
  });

  it.each([5, -2, 1.5, 'four', ''])('refuses a score of %j', async (score) => {
    const [status, { code }] = await rate(a, 'amina', { contractId: settled, score });
    expect([status, code]).toEqual([400, 'rating-score']);
  });

  it('refuses who may not rate, what there is not, and what is not settled', async () => {
    const body = { contractId: settled, score: 3 };
    expect(await rate(a, 'anna', body)).toMatchObject([403, { code: 'not-a-party' }]);
    expect(await rate(a, 'anna', { ...body, from: 'amina' })).toMatchObject([403, {}]);
    expect(await rate(a, 'amina', { ...body, from: ben })).toMatchObject([403, { code: 'forbidden' }]);
    expect(await rate(a, 'amina', { ...body, to: 'anna' })).toMatchObject([400, {}]);
    expect(await rate(a, 'nobody', body)).toMatchObject([403, { code: 'unauthorized' }]);
    expect(await rate(a, 'amina', { contractId: 'nothing', score: 3 })).toMatchObject([404, {}]);
    expect(await rate(a, 'amina', { score: 3 })).toMatchObject([400, { code: 'fields-invalid' }]);
    const open = await contract(false);
    expect(await rate(a, 'amina', { contractId: open, score: 3 })).toMatchObject([
      409,
      { code: 'contract-unsettled' },
    ]);
    expect(await trust(a, ben)).toMatchObject({ roles: [], contracts: 0, percentKept: null });
    // The operator of a node rates for its own users, and for nobody else's.
    const foreign = await b.request('POST', '/submitRating', { ...body, from: amina });
    expect(foreign.status).toBe(403);
  });

  it('takes both documented forms; a second rating by the same party corrects the first', async () => {
    const [status, first] = await rate(a, 'amina', {
      contractId: settled,
      from: 'amina',
      to: ben,
      score: 4,
      comment: 'dry and clean',
      tags: ['quality', 'on time'],
    });
    expect([status, first]).toMatchObject([201, { from: amina, to: ben, score: 4, supersedes: null }]);
    expect(first).toMatchObject({ tags: ['quality', 'on time'], contractId: settled });
    const seen = await trust(a, ben);
    expect(levelsOf(seen)).toEqual([0, 0, 0, 0, 0, 1]);
    expect(seen).toMatchObject({ contracts: 1, percentKept: 100, roles: [{ role: 'market_seller' }] });
    const body = { transactionId: settled, rating: 0, raterId: 'amina', feedback: 'half was wet' };
    const [again, second] = await rate(a, 'amina', body);
    expect([again, second]).toMatchObject([201, { score: 0, supersedes: first.id, comment: 'half was wet' }]);
    expect(second.message).toBe('Rating corrected');
    expect(levelsOf(await trust(a, ben))).toEqual([0, 1, 0, 0, 0, 0]);
    const [same, third] = await rate(a, 'amina', body);
    expect([same, third.id]).toEqual([200, second.id]);
    const { ratings } = (await (await a.app.request(`/ratings?to=${ben}`)).json()) as { ratings: Rating[] };
    expect(ratings.map(({ score, supersedes }) => [score, supersedes])).toEqual(
      expect.arrayContaining([
        [4, null],
        [0, first.id],
      ]),
    );
    expect(ratings).toHaveLength(2);
    // In the old shape: the consumer's rating of the producer, as corrected.
    const { transactions } = (await (await as(a, 'amina', 'GET', '/transactions')).json()) as {
      transactions: { id: string; rating: number | null }[];
    };
    expect(transactions.find(({ id }) => id === settled)?.rating).toBe(0);
  });

  it('keeps one of many that come at once', async () => {
    const id = await contract(true);
    const answers = await Promise.all(
      [1, 2, 3, 4].map((score) => rate(a, 'amina', { contractId: id, score })),
    );
    expect(answers.map(([status]) => status)).toEqual([201, 201, 201, 201]);
    expect(answers.filter(([, { supersedes }]) => supersedes === null)).toHaveLength(1);
    const proof = (await (await a.app.request(`/trust/${ben}/proof${AS_OF}`)).json()) as {
      inputs: { contract: string; verdict: string }[];
    };
    const parts = id.replace('.', '/');
    const of = proof.inputs.filter(({ contract: key }) => key === `contracts/${parts}`);
    expect(of.map(({ verdict }) => verdict).sort()).toEqual([
      'active',
      'superseded',
      'superseded',
      'superseded',
    ]);
  });

  it('reaches the other node, which sees the same reputation, and the users of its export', async () => {
    const query = `${AS_OF}&adjudicators=`;
    const here = await (await a.app.request(`/trust/${ben}/proof${query}`)).text();
    await waitFor(
      'the ratings to be there',
      async () => (await (await b.app.request(`/trust/${ben}/proof${query}`)).text()) === here,
    );
    expect(await trust(b, 'ben')).toMatchObject({ subject: ben, roles: [{ active: { nodes: 1 } }] });
    // As a node: all its users.
    const { percentKept: score, contracts } = await trust(a, b.peerId);
    expect([score, contracts]).toEqual([100, 2]);
    const { nodes } = (await (await a.app.request('/federation/nodes')).json()) as {
      nodes: { nodeId: string; trustScore: number; reputation: { leveson: number } }[];
    };
    expect(nodes).toMatchObject([
      {
        nodeId: b.peerId,
        trustScore: score,
        reputation: { leveson: score },
        reliability: { equivocations: 0 },
      },
    ]);
    const exported = (await (await a.app.request('/federation/export')).json()) as { users: unknown[] };
    expect(exported.users).toEqual([
      {
        id: ben,
        owner: b.peerId,
        role: 'user',
        reputationScore: 100,
        updatedAt: expect.any(String) as string,
      },
    ]);
    const top = await (await a.app.request('/trends/top-rated')).json();
    expect(JSON.stringify(top)).toContain(ben);
  });

  it('counts nothing that one user of a node says of another, and says why', async () => {
    const body = { ...deal(1), title: 'Straw', buyerId: 'amina', supplierId: 'anna' };
    const made = await as(a, 'amina', 'POST', '/contracts', body);
    const { contractId } = (await made.json()) as { contractId: string };
    for (const [user, step] of [
      ['anna', 'accept'],
      ['amina', 'settle'],
      ['anna', 'settle'],
    ] as const)
      expect((await as(a, user, 'POST', `/contracts/${contractId}/${step}`, {})).status).toBe(200);
    expect(await rate(a, 'amina', { contractId, score: 4 })).toMatchObject([201, { to: `anna@${a.peerId}` }]);
    expect(await trust(a, 'anna')).toMatchObject({ roles: [], percentKept: null });
    expect(await (await a.app.request('/trust/anna/proof')).json()).toMatchObject({
      inputs: [{ verdict: 'own-node', score: 4 }],
    });
  });

  it('P3-014, 4: takes a -1 with its reason alone, which nobody reads but the parties and their operators', async () => {
    const id = await contract(true);
    const reason = 'the maize was rotten below the first layer';
    for (const body of [{}, { comment: '  ' }, { feedback: '' }])
      expect(await rate(a, 'amina', { contractId: id, score: -1, ...body })).toMatchObject([
        400,
        { code: 'reason-required' },
      ]);
    const words = Array.from({ length: 501 }, () => 'w').join(' ');
    expect(await rate(a, 'amina', { contractId: id, score: -1, comment: words })).toMatchObject([
      400,
      { code: 'fields-invalid' },
    ]);
    const before = await trust(a, ben);
    const [status, given] = await rate(a, 'amina', { transactionId: id, rating: -1, feedback: reason });
    expect([status, given]).toMatchObject([201, { score: -1, role: 'market_seller', comment: '' }]);
    const [again, same] = await rate(a, 'amina', { contractId: id, score: -1, comment: reason });
    expect([again, same.id]).toEqual([200, given.id]);
    await waitFor('the rating', async () => (await b.app.request(`/ratings/${given.id}`)).status === 200);
    const read = async (node: TestNode, user: string): Promise<string | null> =>
      ((await (await as(node, user, 'GET', `/ratings/${given.id}`)).json()) as { reason: string | null })
        .reason;
    await waitFor('the reason', async () => (await read(b, 'ben')) === reason);
    expect(await read(a, 'amina')).toBe(reason);
    expect(await read(a, 'anna')).toBeNull();
    expect(await (await a.app.request(`/ratings/${given.id}`)).json()).toMatchObject({ reason: null });
    for (const node of [a, b])
      expect(await (await node.request('GET', `/ratings/${given.id}`)).json()).toMatchObject({ reason });
    for (const path of ['/ratings', `/ratings/${given.id}`, '/federation/export', `/trust/${ben}/proof`])
      expect(await (await a.app.request(path)).text(), path).not.toContain('rotten');
    // Corrected, it has no reason any more: that was one of a -1.
    const other = await contract(true);
    const [, low] = await rate(a, 'amina', { contractId: other, score: -1, comment: 'too early' });
    const [, better] = await rate(a, 'amina', { contractId: other, score: 3, comment: 'settled since' });
    const seen = async (id: string) => (await as(a, 'amina', 'GET', `/ratings/${id}`)).json();
    expect(await seen(better.id)).toMatchObject({ reason: null, comment: 'settled since' });
    expect(await seen(low.id)).toMatchObject({ reason: 'too early', comment: '' });
    await rate(a, 'amina', { contractId: other, score: 0 });
    const after = await trust(a, ben);
    expect(after.roles[0]?.active).toMatchObject({ breaches: 1, nodes: 1, ratings: 4 });
    expect([before.percentKept, after.percentKept]).toEqual([100, 75]);
  });

  it('shows whom one has rated, and whom one still can', async () => {
    const id = await contract(true);
    const pending = async (user: string) =>
      ((await (await as(a, user, 'GET', '/ratings/me/pending')).json()) as { pending: object[] }).pending;
    expect(await pending('amina')).toMatchObject([{ contractId: id, to: ben, role: 'market_seller' }]);
    expect(await pending('anna')).toEqual([{ ...(await pending('anna'))[0] }]); // what amina bought of her
    expect(await rate(a, 'amina', { contractId: id, score: 2 })).toMatchObject([201, {}]);
    expect(await pending('amina')).toEqual([]);
    const mine = (await (await as(a, 'amina', 'GET', '/ratings/me')).json()) as { given: object[] };
    expect(mine).toMatchObject({ user: amina, received: { roles: [] } });
    expect(mine.given.slice(0, 2)).toMatchObject([{ contractId: id, score: 2 }, { score: 0 }]);
    expect((await as(a, 'nobody', 'GET', '/ratings/me')).status).toBe(403);
    expect((await as(a, 'anna', 'GET', '/ratings/me?userId=amina')).status).toBe(403);
    expect((await a.request('GET', '/ratings/me')).status).toBe(400);
    expect((await a.request('GET', '/ratings/me?userId=amina')).status).toBe(200);
    expect(await (await a.app.request('/ratings/scale')).json()).toMatchObject({
      levels: [{ score: -1, name: 'No Trust' }, {}, {}, {}, {}, { score: 4, name: 'Delight' }],
    });
    const counts = (await (await a.app.request(`/ratings/users/${ben}`)).json()) as Trust;
    expect(counts.roles).toEqual((await trust(a, ben)).roles);
  });

  it('is contested by whom it is of, taken back by whose it is, and otherwise a view', async () => {
    const id = await contract(true);
    const [, harm] = await rate(a, 'amina', { contractId: id, score: -1, comment: 'never came' });
    await waitFor('the rating', async () => (await b.app.request(`/ratings/${harm.id}`)).status === 200);
    const note = async (node: TestNode, user: string, kind: string, why = 'facts-differ') => {
      const answer = await as(node, user, 'POST', `/ratings/${harm.id}/${kind}`, { why });
      return [answer.status, ((await answer.json()) as { code?: string; by?: string }).by ?? ''];
    };
    expect(await note(a, 'amina', 'contest')).toEqual([403, '']);
    expect(await note(a, 'anna', 'dismiss')).toEqual([403, '']);
    expect(await note(b, 'ben', 'dismiss')).toEqual([403, '']);
    expect(await note(b, 'ben', 'contest', 'because')).toEqual([400, '']);
    // The same at once is written once; a contest is taken back by upholding, and made anew.
    const several = await Promise.all([1, 2, 3].map(() => note(b, 'ben', 'contest')));
    expect(several.map(([status]) => status).toSorted()).toEqual([200, 200, 201]);
    expect(await note(b, 'ben', 'uphold')).toEqual([201, ben]);
    expect((await trust(b, ben)).roles[0]).toMatchObject({ contested: 0 });
    expect(await note(b, 'ben', 'contest')).toEqual([201, ben]);
    expect(await note(b, 'ben', 'contest')).toEqual([200, ben]);
    const notes = async (node: TestNode): Promise<object[]> =>
      ((await (await node.app.request(`/ratings/${harm.id}`)).json()) as { notes: object[] }).notes;
    await waitFor('the notes', async () => (await notes(a)).length === 3);
    const contested = await trust(a, ben);
    expect(contested.roles[0]).toMatchObject({ contested: 1, dismissed: { ratings: 0 } });
    expect(await note(a, 'amina', 'uphold')).toEqual([201, amina]);
    expect(await note(a, 'amina', 'dismiss', 'mistaken')).toEqual([201, amina]);
    await waitFor('all notes', async () => (await notes(b)).length === 5);
    for (const node of [a, b]) {
      const seen = await trust(node, ben);
      expect(seen.roles[0]).toMatchObject({ contested: 0, dismissed: { ratings: 1 } });
      expect(await notes(node)).toEqual(
        expect.arrayContaining([
          expect.objectContaining({ kind: 'dismiss', by: amina, why: 'mistaken', problem: null }),
        ]),
      );
    }
    expect((await as(a, 'amina', 'POST', '/ratings/nothing/dismiss', { why: 'mistaken' })).status).toBe(404);
  });

  it('P3-014, 8: whoever has done harm trades as much as anybody', async () => {
    const [, harm] = await rate(a, 'amina', {
      contractId: await contract(true),
      score: -1,
      comment: 'rotten',
    });
    expect(harm.score).toBe(-1);
    expect((await trust(b, ben)).roles[0]?.active).toMatchObject({ breaches: 1 });
    const issued = await b.request('POST', '/api/keys', { userId: 'carol', scopes: ['read', 'write'] });
    keys.set('carol', ((await issued.json()) as { key: string }).key);
    /** What a user may do, and how much: statuses, limits and sums. */
    const may = async (user: string): Promise<unknown[]> => {
      const goods = { title: 'Maize', quantity: 1e9, unit: 'kg', price: 1e6, currency: 'KES' };
      const listed = await as(b, user, 'POST', '/listings', { type: 'offer', ...goods });
      const { listingId } = (await listed.json()) as { listingId: string };
      const seller = `${user}@${b.peerId}`;
      await waitFor('the listing', async () => (await a.app.request(`/listings/${listingId}`)).ok);
      const bought = await as(a, 'amina', 'POST', '/contracts', { listingId, supplierId: seller });
      const { contractId, quantity } = (await bought.json()) as { contractId: string; quantity: number };
      await waitFor('the proposal', async () => (await stateAt(b, user, contractId)) === 'proposed');
      const accepted = await as(b, user, 'POST', `/contracts/${contractId}/accept`, {});
      const limits = [...listed.headers].filter(([name]) => /limit|quota/.test(name) && !/remain/.test(name));
      return [listed.status, bought.status, quantity, accepted.status, limits];
    };
    const ofCarol = await may('carol');
    expect(ofCarol.slice(0, 4)).toEqual([201, 201, 1e9, 200]);
    expect(await may('ben')).toEqual(ofCarol);
  });

  it('counts nothing from a node that is no root, and says what is unknown', async () => {
    const seen = (await (await a.app.request(`/trust/${ben}?roots=${b.peerId}`)).json()) as Trust;
    expect(seen).toMatchObject({ roles: [], contracts: 0, percentKept: null });
    expect((await a.app.request(`/trust/${ben}?roots=somebody`)).status).toBe(400);
    expect((await a.app.request('/trust/a@b')).status).toBe(404);
    expect(await trust(a, 'nobody-here')).toMatchObject({ roles: [] });
    await a.node.registry.change(b.peerId, 'suspend');
    await b.node.registry.change(a.peerId, 'suspend');
    expect((await trust(b, ben)).roles).toEqual([]);
    // What a itself has seen of ben counts at a as before.
    expect((await trust(a, ben)).roles).not.toEqual([]);
  });
});
