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
  readonly score: number | null;
  readonly microPoints: number | null;
  readonly counterparties: number;
  readonly reliability: Readonly<Record<string, unknown>>;
}

const dirs = [tempDir('ratings'), tempDir('ratings')] as const;
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
    expect((await trust(a, ben)).score).toBeNull();
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
    // (2 * 5 + 4) / 6, in micro-points, rounded down
    expect(await trust(a, ben)).toMatchObject({
      score: 2.333333,
      microPoints: 2_333_333,
      counterparties: 1,
    });
    const body = { transactionId: settled, rating: 0, raterId: 'amina', feedback: 'half was wet' };
    const [again, second] = await rate(a, 'amina', body);
    expect([again, second]).toMatchObject([201, { score: 0, supersedes: first.id, comment: 'half was wet' }]);
    expect(second.message).toBe('Rating corrected');
    expect((await trust(a, ben)).microPoints).toBe(1_666_666);
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
    const proof = (await (await a.app.request(`/trust/${ben}/proof`)).json()) as {
      inputs: { contract: string; verdict: string }[];
    };
    const parts = id.replace('.', '/');
    const of = proof.inputs.filter(({ contract: key }) => key === `contracts/${parts}`);
    expect(of.map(({ verdict }) => verdict).sort()).toEqual([
      'counted',
      'superseded',
      'superseded',
      'superseded',
    ]);
  });

  it('reaches the other node, which sees the same score, and the users of its export', async () => {
    const here = await (await a.app.request(`/trust/${ben}/proof`)).text();
    await waitFor(
      'the ratings to be there',
      async () => (await (await b.app.request(`/trust/${ben}/proof`)).text()) === here,
    );
    expect(await trust(b, 'ben')).toMatchObject({ subject: ben, counterparties: 1 });
    // As a node: all its users.
    const score = (await trust(a, b.peerId)).score;
    expect(score).not.toBeNull();
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
        reputationScore: (await trust(a, ben)).score,
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
    expect(await trust(a, 'anna')).toMatchObject({ score: null, counterparties: 0 });
    expect(await (await a.app.request('/trust/anna/proof')).json()).toMatchObject({
      inputs: [{ verdict: 'own-node', score: 4 }],
    });
  });

  it('counts nothing from a node that is no root, and says what is unknown', async () => {
    const seen = (await (await a.app.request(`/trust/${ben}?roots=${b.peerId}`)).json()) as Trust;
    expect(seen).toMatchObject({ score: null, microPoints: null, counterparties: 0 });
    expect((await a.app.request(`/trust/${ben}?roots=somebody`)).status).toBe(400);
    expect((await a.app.request('/trust/a@b')).status).toBe(404);
    expect(await trust(a, 'nobody-here')).toMatchObject({ score: null });
    await a.node.registry.setStatus(b.peerId, 'suspended');
    await b.node.registry.setStatus(a.peerId, 'suspended');
    expect((await trust(b, ben)).score).toBeNull();
    // What a itself has seen of ben counts at a as before.
    expect((await trust(a, ben)).score).not.toBeNull();
  });
});
