import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createProjection } from '../../daemon/mirror/projection.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';
import { randomFrom } from '../support/forge.ts';
import { startNode, type TestNode } from '../support/in-process-node.ts';
import { Reader } from '../../storage/reader.ts';
import { tempDir } from '../support/temp-dir.ts';
import { deal } from '../support/terms.ts';

const SEED = Number(process.env['SEED'] ?? 3);
const CONTRACTS = Number(process.env['COUNT'] ?? 12);
const STEPS = 14;

interface Shown {
  readonly contractId: string;
  readonly updatedAt: string;
  readonly state: string;
  readonly transitions?: readonly { readonly at: string; readonly standing: string; readonly kind: string }[];
  readonly pings?: readonly { readonly at: string }[];
}

const dir = tempDir('contract-moved');
let node: TestNode;
const keys = new Map<string, string>();

beforeAll(async () => {
  node = await startNode(dir.path, { RATE_LIMIT: 'off' });
  for (const userId of ['amina', 'ben']) {
    const made = await node.request('POST', '/api/keys', { userId, scopes: ['read', 'write'] });
    keys.set(userId, ((await made.json()) as { key: string }).key);
  }
});
afterAll(async () => {
  await node.stop();
  dir.remove();
});

async function as<T>(
  user: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; body: T }> {
  const response = await node.app.request(path, {
    method,
    headers: {
      'x-api-key': keys.get(user) ?? '',
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as T };
}

/** What a user may try; what the machine refuses changes nothing. */
const STEPS_OF: readonly {
  readonly name: string;
  readonly body: () => unknown;
  readonly path?: (id: string) => string;
}[] = [
  { name: 'propose', body: () => ({}) },
  { name: 'accept', body: () => ({}) },
  { name: 'accept', body: () => ({}) },
  { name: 'pings', body: () => ({ status: 'loaded', percentComplete: 10 }) },
  { name: 'settle', body: () => ({}) },
  { name: 'settle', body: () => ({}) },
  { name: 'cancel', body: () => ({}) },
  { name: 'resolve', body: () => ({ outcome: 'settled' }) },
  { name: 'rating', body: () => ({ score: 3 }), path: () => '/submitRating' },
];

/** A trade that goes well; every other contract begins with it. */
const TRADE: readonly (readonly [string, string])[] = [
  ['ben', 'propose'],
  ['amina', 'accept'],
  ['ben', 'pings'],
  ['amina', 'settle'],
  ['ben', 'settle'],
  ['amina', 'rating'],
  ['ben', 'rating'],
];

describe('updatedAt of a contract', () => {
  const projection = () =>
    createProjection({
      db: node.node.db,
      reader: new Reader(node.node.db),
      self: node.node.identity.peerId,
      network: 'test',
      contracts: node.context.contracts,
      conversations: node.context.conversations,
      ratings: node.context.ratings,
    });

  async function checkAll(id: string, ratedAt: string, what: string): Promise<string> {
    const { body: one } = await as<Shown>('amina', 'GET', `/contracts/${id}`);
    const ats = [
      ...(one.transitions ?? []).filter(({ standing }) => standing === 'applied').map(({ at }) => at),
      ...(one.pings ?? []).map(({ at }) => at),
      ratedAt,
    ];
    for (const at of ats) expect(one.updatedAt >= at, `${what}: ${one.updatedAt} is before ${at}`).toBe(true);
    const { body: list } = await as<{ contracts: Shown[] }>('ben', 'GET', '/contracts?limit=500');
    expect(list.contracts.find(({ contractId }) => contractId === id)?.updatedAt, what).toBe(one.updatedAt);
    const { body: old } = await as<{ transactions: Shown[] }>('ben', 'GET', '/transactions?limit=500');
    const transaction = old.transactions.find(({ contractId }) => contractId === id);
    const agreed = ['accepted', 'settled', 'disputed'].includes(one.state);
    if (agreed) expect(transaction?.updatedAt, what).toBe(one.updatedAt);
    for (const table of ['Contracts', ...(agreed ? ['Transactions'] : [])]) {
      const item = await projection().item({ table, key: [id] });
      expect(item?.fields['updatedAt'], `${what} in ${table}`).toBe(one.updatedAt);
    }
    return one.updatedAt;
  }

  it(`is the time of its newest step that counts, everywhere it is shown (seed ${SEED})`, async () => {
    const random = randomFrom(SEED);
    const seen = new Map<string, number>();
    for (let each = 0; each < CONTRACTS; each++) {
      const made = await as<Shown>('amina', 'POST', '/contracts', {
        supplierId: 'ben',
        ...deal(1),
        title: `c${each}`,
      });
      const id = made.body.contractId;
      let last = await checkAll(id, '', `contract ${each}, made`);
      let ratedAt = '';
      for (let step = 0; step < STEPS; step++) {
        const known = each % 2 === 0 ? TRADE[step] : undefined;
        const user = known?.[0] ?? random.pick(['amina', 'ben']);
        const { name, body, path } = STEPS_OF.find((one) => one.name === known?.[1]) ?? random.pick(STEPS_OF);
        const before = isoTime(Date.now());
        const sent =
          path === undefined ? body() : { ...(body() as object), contractId: id, score: random.int(5) };
        const { status, body: answer } = await as<Shown & { ratedAt?: string }>(
          user,
          'POST',
          path?.(id) ?? `/contracts/${id}/${name}`,
          sent,
        );
        if (status === 201 && answer.ratedAt !== undefined) ratedAt = answer.ratedAt;
        const what = `seed ${SEED}, contract ${each}, step ${step}: ${user} ${name} ${status}`;
        const now = await checkAll(id, ratedAt, what);
        expect(now >= last, what).toBe(true);
        const moved = name === 'rating' ? status === 201 : status === 200;
        if (moved && name !== 'resolve' && name !== 'cancel') {
          expect(now >= before, `${what}: ${now} is before ${before}`).toBe(true);
          seen.set(name, (seen.get(name) ?? 0) + 1);
        }
        if (!moved && status < 500) expect(now, what).toBe(last);
        expect(status, what).toBeLessThan(500);
        last = now;
      }
    }
    // The seed reaches every kind of step, or this shows nothing.
    expect([...seen.keys()].sort()).toEqual(['accept', 'pings', 'propose', 'rating', 'settle']);
  }, 120_000);
});
