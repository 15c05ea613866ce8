import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HttpTarget } from '../../daemon/federation/http-target.ts';
import { systemEnv } from '../../daemon/system-env.ts';
import { OWN_COVERAGE } from '../../protocols/digest/coverage.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { CATCH_UP_LIMITS } from '../../protocols/mycelium/catch-up.ts';
import { signRequest } from '../../protocols/mycelium/signed-request.ts';
import { identityFromSeed } from '../../protocols/wire/identity.ts';
import { type Channel, recordKey } from '../../protocols/wire/ids.ts';
import { type Certificate, makeCertificate } from '../support/certificates.ts';
import { type ExchangeNode, startExchangeNode } from '../support/exchange-node.ts';

async function write(node: ExchangeNode, count: number, from = 0): Promise<void> {
  const titles = Array.from({ length: count }, (_, i) => `Lot ${from + i}`);
  await Promise.all(titles.map((title) => node.ledgerNode.catalogue.createListing({ type: 'offer', title })));
}

describe('two nodes that reach one another over HTTPS alone', () => {
  let a: ExchangeNode;
  let b: ExchangeNode;
  const certificates: Record<'a' | 'b' | 'renewed' | 'foreign', Certificate> = {
    a: makeCertificate(),
    b: makeCertificate(),
    renewed: makeCertificate(),
    foreign: makeCertificate(),
  };

  beforeAll(async () => {
    a = await startExchangeNode(certificates.a);
    b = await startExchangeNode(certificates.b);
    a.befriend(b, certificates.b.fingerprint);
    b.befriend(a, certificates.a.fingerprint);
  });
  afterAll(async () => {
    await a.stop();
    await b.stop();
  });

  it('converge', async () => {
    await write(a, 500);
    await write(b, 300, 1000);
    const outcome = await b.sync(a.identity.peerId);
    await a.sync(b.identity.peerId);
    expect(outcome.received).toBeGreaterThan(0);
    expect(outcome.lastHash).toMatch(/^[0-9a-f]{64}$/);
    expect(a.digest()).toBe(b.digest());
    expect((await b.ledgerNode.views()).size).toBe(800);
    expect(await b.table.get(a.identity.peerId)).toMatchObject({ received: outcome.received });
  });

  it('ask for nothing again once they are equal, and with force for the frontier', async () => {
    await b.sync(a.identity.peerId);
    const mark = a.served.length;
    expect((await b.sync(a.identity.peerId)).received).toBe(0);
    expect(a.served.slice(mark).map(({ status }) => status)).toEqual([304]);
    expect((await b.sync(a.identity.peerId, { force: true })).received).toBe(0);
    expect(a.served.at(-1)).toMatchObject({ path: '/federation/feeds', status: 200 });
  });

  it('have not answered for what one plan had no room for', async () => {
    const { target } = a.exchange;
    const id = b.identity.peerId;
    a.ownHeld.length = 0;
    const shown = Array.from({ length: CATCH_UP_LIMITS.wantedPerPeer + 1 }, (_, i) => ({
      author: a.identity.peerId,
      channel: recordKey('contracts', a.identity.peerId, String(i)),
      digest: '',
      items: [{ epoch: '00'.repeat(8), seq: 1, hash: '11'.repeat(32) }],
    }));
    async function* pages() {
      yield { groups: shown, knows: OWN_COVERAGE };
    }
    expect(await target.plan(id, pages())).toHaveLength(CATCH_UP_LIMITS.wantedPerPeer);
    await target.noteSync(id, { received: 0, imported: 0, unchanged: 0, refused: 0, bytes: 0, etag: '"e"' });
    expect(a.ownHeld, 'as if it had').toEqual([]);
    expect(await target.source(id), 'it would be 304 for ever').not.toHaveProperty('etag');
    await a.sync(id);
    expect(a.ownHeld).toEqual([id]);
  });

  it('move one change in a small answer', async () => {
    const mark = a.sent();
    await a.ledgerNode.catalogue.createListing({ type: 'offer', title: 'One more' });
    expect((await b.sync(a.identity.peerId)).received).toBe(1);
    expect(a.sent() - mark, 'two TLS handshakes included').toBeLessThan(10_000);
    expect(a.digest()).toBe(b.digest());
  });

  it('show a private channel only to a signed request of one who takes part', async () => {
    const stranger = await startExchangeNode();
    a.befriend(stranger);
    stranger.befriend(a, certificates.a.fingerprint);
    const { state } = await a.ledgerNode.catalogue.createContract({ title: 'Maize in March' }, [
      b.identity.peerId,
    ]);
    const channel: Channel = state.channel;
    await a.refreshParticipants();
    await b.sync(a.identity.peerId);
    await stranger.sync(a.identity.peerId);
    expect([...(await b.ledgerNode.views()).keys()]).toContain(state.key);
    expect([...(await stranger.ledgerNode.views()).keys()]).not.toContain(state.key);

    const path = `/federation/feeds/${a.identity.peerId}?${new URLSearchParams({ channel }).toString()}`;
    const ask = (
      identity: ExchangeNode['identity'],
      over: { time?: number; path?: string; method?: string } = {},
    ) => {
      const request = {
        net: 'test',
        receiver: a.identity.peerId,
        method: 'GET',
        path,
        time: Date.now(),
        nonce: crypto.getRandomValues(new Uint8Array(16)),
        ...over,
      };
      return signRequest(identity, request);
    };
    const status = async (header?: string): Promise<number> => {
      // Over plain fetch the certificate would be refused: the app of the node answers without its socket.
      const response = await a.request(path, header === undefined ? {} : { 'x-agrinet-request': header });
      await response.arrayBuffer();
      return response.status;
    };
    const good = ask(b.identity);
    expect(await status(good)).toBe(200);
    expect(await status(good), 'the same request once more').toBe(403);
    expect(await status(), 'unsigned').toBe(403);
    expect(await status(ask(stranger.identity)), 'registered, but takes no part').toBe(403);
    expect(await status(ask(b.identity, { time: Date.now() - 301_000 })), 'too old').toBe(403);
    expect(await status(ask(b.identity, { time: Date.now() + 301_000 })), 'too far ahead').toBe(403);
    expect(await status(ask(b.identity, { path: '/federation/feeds' })), 'for another path').toBe(403);
    expect(await status(ask(b.identity, { method: 'POST' })), 'for another method').toBe(403);
    expect(await status(`${ask(b.identity).slice(0, -8)}AAAAAAAA`), 'changed').toBe(403);
    await stranger.stop();
  });

  it('go on with a certificate that its owner renewed, and stop at a foreign one', async () => {
    await write(a, 3, 5000);
    a.present(certificates.renewed);
    const asked: string[] = [];
    b.renewCertificate = async (peer) => {
      asked.push(peer);
      return certificates.renewed.fingerprint;
    };
    expect((await b.sync(a.identity.peerId)).received).toBeGreaterThan(0);
    expect(asked).toEqual([a.identity.peerId]);
    expect(a.digest()).toBe(b.digest());

    await write(a, 3, 6000);
    a.present(certificates.foreign);
    b.renewCertificate = async () => {
      throw new AgrinetError('certificate-foreign', 'the node key does not vouch for this certificate');
    };
    const mark = a.served.length;
    await expect(b.sync(a.identity.peerId)).rejects.toThrow(/does not vouch/);
    expect(a.served.slice(mark), 'nothing was asked over it').toEqual([]);
    expect(b.outcomes.at(-1)?.outcome.error?.code).toBe('certificate-foreign');
    expect(a.digest()).not.toBe(b.digest());
    a.present(certificates.a);
    await b.sync(a.identity.peerId);
    expect(a.digest()).toBe(b.digest());
  });
});

describe('a worker in another process', () => {
  it('hands in what it fetched, and the daemon checks it', async () => {
    const a = await startExchangeNode();
    const b = await startExchangeNode();
    a.befriend(b);
    b.befriend(a);
    await write(a, 400);
    const target = new HttpTarget(b.url, 'key', systemEnv);
    await expect(b.sync(a.identity.peerId, { target }), 'without the scope').rejects.toThrow(/Unauthorized/);
    b.trustEveryone = ['read', 'worker'];
    expect((await b.sync(a.identity.peerId, { target })).received).toBeGreaterThan(0);
    expect(a.digest()).toBe(b.digest());
    const feed = { author: a.identity.peerId, channel: 'public' as const };
    await expect(target.rangeRequest('legacy:http://127.0.0.1:1', feed)).rejects.toThrow(
      /not an active registered node/,
    );
    const { peerId: stranger } = identityFromSeed(new Uint8Array(32).fill(9));
    await expect(target.rangeRequest(stranger, feed)).rejects.toThrow(/not an active registered node/);
    const { request } = await target.rangeRequest(a.identity.peerId, feed);
    expect(request).toMatchObject({
      method: 'GET',
      path: expect.stringMatching(
        new RegExp(`^/federation/feeds/${feed.author}\\?channel=public&have=[\\w-]+$`),
      ),
    });
    // Nothing that a worker names goes into what is signed but a feed of a registered node.
    const plan = { source: a.identity.peerId, ...feed };
    const status = async (query: Record<string, string>): Promise<number> => {
      const path = `/federation/plan?${new URLSearchParams(query).toString()}`;
      return (await b.fetch(path, { method: 'POST', scopes: ['read', 'worker'] })).status;
    };
    expect(await status(plan)).toBe(200);
    expect(await status({ ...plan, author: `${feed.author}/../../api/keys` })).toBe(400);
    expect(await status({ ...plan, channel: '../api/keys' })).toBe(400);
    expect(await status({ ...plan, path: '/api/keys' })).toBe(400);
    expect(await status({ ...plan, source: 'http://127.0.0.1:1' })).toBe(400);
    expect(await status({ ...plan, frontier: 'true' }), 'two questions at once').toBe(400);
    expect(await status({ source: plan.source, author: feed.author }), 'half a question').toBe(400);
    expect(await status({ source: plan.source }), 'no frontier').toBe(400);
    // Entries of a that are passed off as b's own are not taken.
    const entry = (await a.ledgerNode.store.entryBytes(1, 1)) ?? new Uint8Array(0);
    const asked = { author: b.identity.peerId, channel: 'public' as const };
    await expect(target.receive(a.identity.peerId, asked, [{ kind: 'entry', bytes: entry }])).rejects.toThrow(
      /not-asked-for|not asked/,
    );
    await a.stop();
    await b.stop();
  });
});
