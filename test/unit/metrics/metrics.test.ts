import { randomBytes } from 'node:crypto';
import { renameSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type MetricDefinition, METRICS, METRICS_LIMITS } from '../../../daemon/metrics/metrics-table.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { Hand, listingOps } from '../../support/forge.ts';
import { befriend, registerHere, startNode, TEST_KEY, type TestNode } from '../../support/in-process-node.ts';
import { type Family, parsePrometheus, valueOf } from '../../support/prometheus.ts';
import { seededRandom } from '../../support/random.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { waitFor } from '../../support/wait.ts';

const dirs: ReturnType<typeof tempDir>[] = [];
const nodes: TestNode[] = [];
async function start(env: Record<string, string> = {}): Promise<TestNode> {
  const dir = tempDir('metrics');
  dirs.push(dir);
  const node = await startNode(dir.path, { RATE_LIMIT: 'off', ...env });
  nodes.push(node);
  return node;
}
beforeEach(() => {
  dirs.length = 0;
  nodes.length = 0;
});
afterEach(async () => {
  for (const node of nodes) await node.stop();
  for (const dir of dirs) dir.remove();
});

async function scrape(node: TestNode): Promise<Map<string, Family>> {
  const answer = await node.request('GET', '/metrics');
  expect(answer.status).toBe(200);
  expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  return parsePrometheus(await answer.text());
}
/** What whoever has no key scrapes. */
async function publicScrape(node: TestNode): Promise<Map<string, Family>> {
  return parsePrometheus(await (await node.app.request('/metrics')).text());
}
const seriesIn = (families: ReadonlyMap<string, Family>): number =>
  [...families.values()].reduce((sum, { samples }) => sum + samples.length, 0);

describe('the names', () => {
  it('follow the conventions of Prometheus, and all are told', async () => {
    const families = await scrape(await start());
    for (const { name, type } of Object.values(METRICS)) {
      expect(families.get(name)?.type, name).toBe(type);
      expect(name.endsWith('_total'), name).toBe(type === 'counter');
      if (type === 'histogram') expect(name).toMatch(/_seconds$/);
      expect(name).not.toMatch(/_(ms|milliseconds|kb|mb|mebibytes|minutes)(_|$)/);
    }
    expect(valueOf(families, 'nodejs_eventloop_lag_p99_seconds')).toBeGreaterThanOrEqual(0);
    expect(valueOf(families, 'process_resident_memory_bytes')).toBeGreaterThan(1e6);
  });
});

it('those that private channels can move are for the operator, and the others for everybody', async () => {
  const node = await start();
  const [whole, shown] = await Promise.all([scrape(node), publicScrape(node)]);
  const published = Object.values<MetricDefinition>(METRICS).flatMap(({ name, audience }) =>
    audience === 'public' ? [name as string] : [],
  );
  expect([...shown.keys()].sort()).toEqual(published.sort());
  expect(published).not.toContain('agrinet_commits_total');
  const channels = (families: Map<string, Family>) =>
    families.get('agrinet_entries')?.samples.map(({ labels }) => labels['channel']);
  expect([channels(whole), channels(shown)]).toEqual([['public', 'private'], ['public']]);
});

describe('the counters', () => {
  it('move with what two nodes really do', async () => {
    const [a, b] = [await start(), await start()];
    await befriend(a, b);
    await waitFor('a connection', async () => valueOf(await scrape(a), 'agrinet_peer_connected') === 1);
    const before = await scrape(a);
    expect(valueOf(before, 'agrinet_jobs', { queue: 'embedded' })).toBeGreaterThanOrEqual(0);
    const made = await a.request('POST', '/listings', { type: 'offer', title: 'Maize' });
    const { id } = (await made.json()) as { id: string };
    await a.request('PATCH', `/listings/${id}`, { title: 'White maize' });
    await a.request('GET', `/listings/${id}`);
    await a.request('GET', '/listings/nothing');
    await a.request('POST', '/listings', { type: 'nonsense' });
    await waitFor('the listing on the other node', async () =>
      (await b.request('GET', `/listings/${id}`)).ok ? true : undefined,
    );

    const after = await scrape(a);
    const moved = (name: string, labels: Record<string, string> = {}): number =>
      valueOf(after, name, labels) - valueOf(before, name, labels);
    expect(moved('agrinet_http_requests_total', { route: '/listings', method: 'POST', status: '2xx' })).toBe(
      1,
    );
    expect(moved('agrinet_http_requests_total', { route: '/listings', method: 'POST', status: '4xx' })).toBe(
      1,
    );
    expect(moved('agrinet_http_requests_total', { route: '/listings/:id', method: 'GET' })).toBe(2);
    expect(moved('agrinet_http_request_seconds_count', { route: '/listings/:id' })).toBe(3);
    expect(moved('agrinet_http_refusals_total', { code: 'not-found' })).toBe(1);
    expect(moved('agrinet_http_refusals_total', { code: 'fields-invalid' })).toBe(1);
    expect(moved('agrinet_commits_total', { origin: 'local' })).toBe(2);
    expect(moved('agrinet_committed_entries_total', { origin: 'local' })).toBe(2);
    expect(moved('agrinet_merges_total', { path: 'fast' })).toBe(2);
    expect(moved('agrinet_leveldb_batches_total', { synced: 'yes' })).toBeGreaterThanOrEqual(2);
    expect(moved('agrinet_leveldb_sync_seconds_count')).toBeGreaterThanOrEqual(2);
    expect(valueOf(after, 'agrinet_records', { collection: 'listings' })).toBe(1);
    expect(valueOf(after, 'agrinet_entries', { channel: 'public' })).toBeGreaterThanOrEqual(2);
    expect(valueOf(after, 'agrinet_leveldb_size_bytes')).toBeGreaterThan(0);
    expect(valueOf(after, 'agrinet_disk_free_bytes')).toBeGreaterThan(0);
    expect(valueOf(after, 'agrinet_registered_nodes', { status: 'active' })).toBe(1);

    await waitFor('gossip to be counted on both sides', async () => {
      const [sent, got] = [await scrape(a), await scrape(b)];
      return (
        valueOf(sent, 'agrinet_gossip_published_total') >= 2 &&
        valueOf(got, 'agrinet_committed_entries_total', { origin: 'remote' }) >= 2
      );
    });
  });

  it('tell of catch-up, of streams, and of whole records that were judged', async () => {
    const [a, b] = [await start(), await start()];
    for (let i = 0; i < 5; i++) await a.request('POST', '/listings', { type: 'offer', title: `Maize ${i}` });
    await befriend(a, b);
    await waitFor(
      'entries that were pulled',
      async () => valueOf(await scrape(b), 'agrinet_catch_up_entries_total') >= 5,
    );
    expect(valueOf(await scrape(b), 'agrinet_catch_up_pulls_total')).toBeGreaterThanOrEqual(1);

    const stop = new AbortController();
    const stream = await b.app.request('/events', {
      headers: { 'x-api-key': TEST_KEY },
      signal: stop.signal,
    });
    expect(valueOf(await scrape(b), 'agrinet_sse_streams')).toBe(1);
    await stream.body?.cancel();
    expect(valueOf(await scrape(b), 'agrinet_sse_streams')).toBe(0);
    expect(valueOf(await scrape(b), 'agrinet_sse_opened_total')).toBe(1);

    // Two epochs of one author create the same listing without knowing of one another.
    const author = identityFromSeed(randomBytes(32));
    await registerHere(b, author.peerId);
    for (const title of ['White maize', 'Yellow maize']) {
      const hand = new Hand(author, randomBytes(8).toString('hex'));
      const entry = hand.next(listingOps(hand.pen, 'maize', undefined, { title }));
      expect(await b.node.ledger.receive([entry.bytes])).toMatchObject([{ kind: 'accept' }]);
    }
    const merged = await scrape(b);
    expect(valueOf(merged, 'agrinet_merges_total', { path: 'automerge' })).toBe(1);
    expect(valueOf(merged, 'agrinet_merge_seconds_count')).toBe(1);
    expect(valueOf(merged, 'agrinet_merges_total', { path: 'fast' })).toBe(6);
  });

  it('stay few whatever callers and peers send', async () => {
    const node = await start();
    const random = seededRandom(Number(process.env['SEED'] ?? 11));
    const word = (): string => Math.floor(random() * 1e12).toString(36);
    await scrape(node); // from here on the kinds of garbage collection are counted
    for (let i = 0; i < 500; i++) {
      await node.request('GET', `/${word()}/${word()}`);
      await node.request(i % 2 === 0 ? 'DELETE' : 'PROPFIND', `/listings/${word()}`);
      await node.request('GET', `/trust/${word()}?roots=${word()}`);
    }
    for (let i = 0; i < 200; i++) {
      const { peerId } = identityFromSeed(randomBytes(32));
      await registerHere(node, peerId);
    }
    // Gossip of nobody's that is no message at all, and codes without end.
    for (let i = 0; i < 300; i++) await node.node.mycelium.gossiped(randomBytes(64), word());
    const families = await scrape(node);
    expect(seriesIn(families)).toBeLessThan(METRICS_LIMITS.series);
    const peers = families.get('agrinet_peer_lag_entries')?.samples ?? [];
    expect(peers).toHaveLength(METRICS_LIMITS.peers + 1);
    expect(peers.at(-1)?.labels).toEqual({ peer: 'other' });
    expect(valueOf(families, 'agrinet_http_requests_total', { route: 'none' })).toBeGreaterThanOrEqual(500);
    const again = seriesIn(await scrape(node));
    for (let i = 0; i < 300; i++) await node.request('GET', `/${word()}`);
    expect(seriesIn(await scrape(node))).toBe(again);
  });
});

it('a data folder that is gone takes its own figures and no others', async () => {
  const node = await start();
  const elsewhere = `${node.node.settings.dataDir}-moved`;
  renameSync(node.node.settings.dataDir, elsewhere);
  try {
    const families = await scrape(node);
    for (const name of ['agrinet_disk_free_bytes', 'agrinet_leveldb_size_bytes'])
      expect(valueOf(families, name), name).toBeNaN();
    expect(valueOf(families, 'agrinet_writable')).toBe(1);
    expect(valueOf(families, 'agrinet_jobs_queue_up')).toBe(1);
  } finally {
    renameSync(elsewhere, node.node.settings.dataDir);
  }
});

it('with PUBLIC_READS=off only a key may scrape', async () => {
  const node = await start({ PUBLIC_READS: 'off' });
  expect((await node.app.request('/metrics')).status).toBe(403);
  expect((await node.request('GET', '/metrics')).status).toBe(200);
});
