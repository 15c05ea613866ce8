import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AuditLog } from '../../daemon/audit/audit-log.ts';
import { type ApiDocument, operationsOf } from '../support/api-document.ts';
import { befriend, startNode, type TestNode } from '../support/in-process-node.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait.ts';
import { DEAL } from '../support/terms.ts';

/** Headers of an answer that say when it was given or how it was sent. */
const OF_THE_REQUEST = new Set(['x-request-id', 'date']);
/** Fields that move by time alone, and what stands in their place. Nothing else may differ. */
const OF_TIME: readonly [RegExp, string][] = [
  [/"requestId":"[^"]*"/g, '"requestId":""'],
  [/"generatedAt":"[^"]*"/g, '"generatedAt":""'],
  // When a peer was last heard from: a timer asks.
  [/"lastContactAt":("[^"]*"|null)/g, '"lastContactAt":""'],
  [/"nextRetryAt":("[^"]*"|null)/g, '"nextRetryAt":""'],
  [/"next":"[^"]*"/g, '"next":""'],
  [/"time":\d+|"proof":"[^"]*"/g, '""'],
];

interface Caller {
  readonly name: string;
  readonly headers: Record<string, string>;
}
/** What one caller is told by one node: body and headers by route. */
type Told = Map<string, string>;

const dirs = [tempDir('private-trade'), tempDir('private-trade')] as const;
let seller: TestNode;
let buyer: TestNode;
let document: ApiDocument;
let listingId = '';
let price = '';
/** Of the node, a user who takes part in nothing. */
const outsiders = new Map<TestNode, string>();

async function must<T>(node: TestNode, method: string, path: string, body?: unknown): Promise<T> {
  const answer = await node.request(method, path, body);
  const text = await answer.text();
  expect(answer.status, `${method} ${path}: ${text}`).toBeLessThan(300);
  return (text === '' ? undefined : JSON.parse(text)) as T;
}

beforeAll(async () => {
  seller = await startNode(dirs[0].path, { RATE_LIMIT: 'off', SYNC_INTERVAL_MINUTES: '0' });
  buyer = await startNode(dirs[1].path, { RATE_LIMIT: 'off', SYNC_INTERVAL_MINUTES: '0' });
  document = (await (await seller.app.request('/openapi.json')).json()) as ApiDocument;
  await befriend(seller, buyer);
  for (const node of [seller, buyer]) {
    const { key } = await must<{ key: string }>(node, 'POST', '/api/keys', {
      userId: 'outsider',
      scopes: ['read', 'write'],
    });
    outsiders.set(node, key);
  }
  // No quantity: what is left of it is in no public record.
  const made = await must<{ id: string }>(seller, 'POST', '/listings', {
    type: 'offer',
    ...DEAL,
    userId: 'sam',
  });
  listingId = made.id;
  ({ id: price } = await must<{ id: string }>(seller, 'POST', '/prices', {
    commodity: 'Maize',
    market: 'Nairobi',
    unit: 'KG',
    priceType: 'Retail',
    currency: 'KES',
    date: '2026-10-15',
    price: 90,
  }));
  await must(buyer, 'POST', '/contracts', { title: 'Beans wanted', buyerId: 'bea' });
  await waitFor('each to have the other’s', async () => (await seller.digest()) === (await buyer.digest()));
}, 60_000);
afterAll(async () => {
  await Promise.all([seller.stop(), buyer.stop()]);
  for (const dir of dirs) dir.remove();
});

const AS_OF = 'asOf=2030-01-01T00:00:00Z';
const callersOf = (node: TestNode): Caller[] => [
  { name: 'nobody', headers: {} },
  { name: 'an outsider', headers: { 'x-api-key': outsiders.get(node) ?? '' } },
];

/** Every route that a caller without a key may ask, from the document itself: a new one is asked as well. */
function openPaths(node: TestNode): string[] {
  const example: Record<string, string> = {
    owner: node.peerId,
    author: node.peerId,
    collection: 'listings',
    id: listingId,
  };
  const paths = operationsOf(document).flatMap(({ method, path, operation }) => {
    const access = operation['x-access'];
    // The sync of /federation/sync would itself be what moves.
    if (method !== 'get' || (access !== 'open' && access !== 'read') || path === '/events') return [];
    if (path === '/federation/sync') return [];
    const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => example[name] ?? 'nothing');
    return [path.startsWith('/trust/') ? `${filled}?${AS_OF}` : filled];
  });
  const others = [seller, buyer].flatMap(({ peerId }) => [
    // Of one moment: what is asked as of now tells the time.
    `/trust/${peerId}?${AS_OF}`,
    `/trust/sam@${peerId}?${AS_OF}`,
    `/trust/bea@${peerId}/proof?${AS_OF}`,
    `/federation/feeds/${peerId}`,
    `/federation/digest/${peerId}/contracts`,
    `/federation/digest/${peerId}/transitions`,
  ]);
  return [
    ...new Set([
      ...paths,
      ...others,
      '/metrics',
      '/openapi.json',
      '/contracts?limit=1',
      `/contracts?listingId=${listingId}`,
      `/prices/${price}`,
      '/federation/export?owner=self',
    ]),
  ];
}

async function toldTo(node: TestNode, { name, headers }: Caller): Promise<Told> {
  const told: Told = new Map();
  for (const path of openPaths(node)) {
    const answer = await node.app.request(path, { headers });
    let body = Buffer.from(await answer.arrayBuffer()).toString('latin1');
    for (const [what, instead] of OF_TIME) body = body.replaceAll(what, instead);
    const shown = [...answer.headers].filter(([header]) => !OF_THE_REQUEST.has(header));
    // An ETag of an answer that holds times is made of what is in it.
    told.set(`${name} ${path}`, `${answer.status} ${JSON.stringify(shown)} ${body}`);
  }
  return told;
}

/** The messages of an event stream, as the bytes that came, without comments on time. */
function listen(node: TestNode, { headers }: Caller): { text: () => string; close: () => void } {
  const stop = new AbortController();
  let text = '';
  void (async () => {
    const answer = await node.app.request('/events', { headers, signal: stop.signal });
    for await (const chunk of answer.body ?? []) text += Buffer.from(chunk).toString();
  })().catch(() => undefined); // cut off at the end
  return { text: () => text, close: () => stop.abort() };
}
const events = (text: string): string[] =>
  text.split('\n\n').filter((each) => each !== '' && !/^(retry|event: ping)/.test(each));

async function everything(): Promise<Told> {
  const all: Told = new Map();
  for (const [i, node] of [seller, buyer].entries())
    for (const caller of callersOf(node))
      for (const [what, text] of await toldTo(node, caller))
        all.set(`${i === 0 ? 'seller' : 'buyer'}: ${what}`, text);
  return all;
}

/** From the first draft to the settlement, with news, messages between the two, and unrated. */
async function trade(): Promise<void> {
  const { contractId } = await must<{ contractId: string }>(buyer, 'POST', '/contracts', {
    listingId,
    buyerId: 'bea',
    quantity: 5,
    price: 80,
    currency: 'KES',
    deliveryWindow: { end: '2020-01-01' },
  });
  const reach = async (node: TestNode, state: string): Promise<boolean> =>
    waitFor(`${state}`, async () => {
      const answer = await node.request('GET', `/contracts/${contractId}`);
      return answer.ok && ((await answer.json()) as { state: string }).state === state;
    });
  await reach(seller, 'proposed');
  await must(seller, 'POST', `/contracts/${contractId}/accept`, { acceptedBy: 'sam' });
  await reach(buyer, 'accepted');
  for (const percentComplete of [10, 60])
    await must(seller, 'POST', `/contracts/${contractId}/pings`, { from: 'sam', percentComplete });
  const talk = await must<{ id: string }>(buyer, 'POST', '/conversations', {
    title: 'Maize',
    participants: [`bea@${buyer.peerId}`, `sam@${seller.peerId}`],
  });
  for (const content of ['when?', 'soon'])
    await must(buyer, 'POST', `/messages/${talk.id}`, { from: 'bea', content });
  await waitFor('the messages', async () => {
    const answer = await seller.request('GET', `/messages/${talk.id}`);
    return answer.ok && ((await answer.json()) as unknown[]).length === 2;
  });
  await must(buyer, 'POST', `/contracts/${contractId}/settle`, { settledBy: 'bea' });
  await must(seller, 'POST', `/contracts/${contractId}/settle`, { settledBy: 'sam' });
  await Promise.all([reach(seller, 'settled'), reach(buyer, 'settled')]);
}

const differing = (one: Told, other: Told): string[] =>
  [...one].flatMap(([what, text]) =>
    other.get(what) === text
      ? []
      : [`${what}\n  ${text.slice(0, 1500)}\n  ${other.get(what)?.slice(0, 1500)}`],
  );

/** What is told while nothing happens: two looks that agree. */
async function atRest(): Promise<Told> {
  let last = await everything();
  return waitFor(
    'two equal looks',
    async () => {
      const now = await everything();
      const same = differing(last, now).length === 0;
      last = now;
      return same ? now : undefined;
    },
    60_000,
  );
}

describe('a trade between two, settled and not rated', () => {
  it('changes nothing of what anybody else is told: no body, no header, no metric, no event', async () => {
    const listeners = [seller, buyer].flatMap((node) =>
      callersOf(node).map((caller) => listen(node, caller)),
    );
    let found: string[] = [];
    // Timers look at frontiers now and then, and that shows. What a trade moves shows at each.
    for (let attempt = 0; attempt < 3; attempt++) {
      const before = await atRest();
      expect(before.size).toBeGreaterThan(150);
      await trade();
      found = differing(before, await everything());
      if (found.length === 0) break;
    }
    expect(found).toEqual([]);

    // Both streams were open all the time, and go on with the next number.
    await must(seller, 'PATCH', '/listings/' + listingId, { title: 'White maize' });
    seller.node.events.emit('federation.node', { node: 'x', status: 'active' });
    buyer.node.events.emit('federation.node', { node: 'x', status: 'active' });
    await waitFor('the streams', () => listeners.every(({ text }) => events(text()).length > 0));
    for (const { text, close } of listeners) {
      const told = events(text());
      expect(told).toHaveLength(1);
      expect(told[0]).toContain('"node":"x"');
      expect(text()).not.toMatch(/event: (federation\.sync|ping\.update|message|conflict)/);
      close();
    }
  }, 240_000);

  it('leaves in the head of the audit log nothing that can be counted, nor whether anything was logged', async () => {
    const audit = seller.context.audit as unknown as Pick<AuditLog, 'sign'>;
    const self = seller.node.identity.peerId;
    const feedBytes = (): number[] => seller.node.store.feeds(self, 'public').map(({ seq }) => seq);
    await audit.sign();
    const before = feedBytes();
    await audit.sign();
    const quiet = feedBytes();
    await trade();
    await audit.sign();
    const traded = feedBytes();
    // One entry with one fact, whether anything has happened in between or not.
    const grown = (one: number[], other: number[]) => other.map((seq, i) => seq - (one[i] ?? 0));
    expect(grown(before, quiet)).toEqual(grown(quiet, traded));
    const heads: Record<string, unknown>[] = [];
    for await (const { key, view } of seller.context.reader.all('audit-heads'))
      if (key.split('/')[1] === self) heads.push(view);
    expect(heads).toHaveLength(3);
    for (const view of heads)
      expect(view).toEqual({
        head: expect.stringMatching(/^[0-9a-f]{64}$/),
        place: expect.stringMatching(/^[\w-]{22}$/),
        at: expect.any(Number),
      });
    expect(new Set(heads.flatMap(({ head, place }) => [head, place])).size).toBe(6);
    const verified = await must<{ problems: unknown[] }>(seller, 'GET', '/logs/verify');
    expect(verified.problems).toEqual([]);
    // With the head before and all but the salt, the next one cannot be worked out.
    const { logs } = await must<{ logs: { note?: string; detail?: { salt?: string } }[] }>(
      seller,
      'GET',
      '/logs?limit=200',
    );
    const salts = logs.filter(({ note }) => note === 'head signed').map(({ detail }) => detail?.salt);
    expect(salts).toHaveLength(3);
    for (const salt of salts) expect(salt).toMatch(/^[0-9a-f]{32}$/);
    expect(new Set(salts).size).toBe(3);
  }, 60_000);

  it('is told to the operator in full', async () => {
    const { federationHealth } = await must<{ federationHealth: { transactions: number }[] }>(
      seller,
      'GET',
      '/federation/status',
    );
    expect(federationHealth.map(({ transactions }) => transactions)).toEqual([expect.any(Number)]);
    expect(federationHealth[0]?.transactions).toBeGreaterThanOrEqual(2);
    const metrics = await (await seller.request('GET', '/metrics')).text();
    expect(metrics).toMatch(/agrinet_feeds\{channel="private"\} [1-9]/);
    const anonymous = await (await seller.app.request('/federation/status')).json();
    // An open request of the buyer is public.
    expect(anonymous).toMatchObject({ federationHealth: [{ transactions: 1 }] });
  });

  it('counts for everybody once it is rated in public', async () => {
    const [contract] = (
      await must<{ contracts: { contractId: string; state: string }[] }>(buyer, 'GET', '/contracts')
    ).contracts.filter(({ state }) => state === 'settled');
    await must(buyer, 'POST', '/submitRating', {
      contractId: contract?.contractId,
      from: 'bea',
      score: 3,
    });
    for (const node of [seller, buyer])
      await waitFor('the trade to be counted', async () => {
        const answer = await node.app.request('/federation/status');
        const { federationHealth } = (await answer.json()) as {
          federationHealth: { transactions: number }[];
        };
        return federationHealth[0]?.transactions === (node === seller ? 2 : 1);
      });
  });
});
