import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type ConnectionSession, openSession } from '../../../daemon/federation/connection-session.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import {
  createGuardedFetch,
  type GuardedAnswer,
  type GuardedRequest,
} from '../../../daemon/federation/guarded-fetch.ts';
import { errorCode } from '../../../protocols/errors.ts';
import { type Certificate, makeCertificate } from '../../support/certificates.ts';
import { type ExchangeNode, startExchangeNode } from '../../support/exchange-node.ts';
import { type LoopbackServer, serve } from '../../support/loopback-server.ts';

const fetchLoopback = createGuardedFetch({ env: systemEnv, allowPrivate: false, allowLoopback: true });
const open: { stop(): unknown }[] = [];

async function server(listener: RequestListener, tls?: Certificate): Promise<LoopbackServer> {
  const made = await serve(listener, tls === undefined ? {} : { tls });
  open.push({ stop: () => made.close() });
  return made;
}
function begin(): { session: ConnectionSession; ask: Ask } {
  const session = openSession(systemEnv);
  open.push({ stop: () => session.close() });
  const ask: Ask = (url, request = {}) =>
    fetchLoopback(url, { timeoutMs: 5000, maxBytes: 1000, session, ...request });
  return { session, ask };
}
type Ask = (url: string, request?: Partial<GuardedRequest>) => Promise<GuardedAnswer>;
const read = async (answer: Promise<GuardedAnswer>): Promise<string> =>
  Buffer.from(await (await answer).bytes()).toString();
const connectionsOf = ({ server: each }: LoopbackServer): Promise<number> =>
  new Promise((resolve, reject) =>
    each.getConnections((error, count) => (error === null ? resolve(count) : reject(error))),
  );

afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.stop();
});

describe('a session of connections', () => {
  it('uses one connection again, and none is open after it', async () => {
    const sockets: Socket[] = [];
    const peer = await server((_, outgoing) => outgoing.end('{}'));
    peer.server.on('connection', (socket: Socket) => sockets.push(socket));
    const { session, ask } = begin();
    for (let n = 0; n < 20; n++) expect(await read(ask(`${peer.url}/${n}`))).toBe('{}');
    expect(peer.connections()).toBe(1);
    const gone = sockets.map((socket) => once(socket, 'close'));
    session.close();
    await Promise.all(gone);
    expect(await connectionsOf(peer)).toBe(0);
    // Closed is closed: nothing begins over it any more.
    expect(errorCode(await ask(peer.url).catch((error: unknown) => error))).toBe('peer-unreachable');
    await Promise.all(sockets.filter(({ closed }) => !closed).map((socket) => once(socket, 'close')));
    expect(await connectionsOf(peer)).toBe(0);
  });

  it('goes over another connection for another pin, and still refuses what is not pinned', async () => {
    const first = makeCertificate('peer.test');
    const second = makeCertificate('peer.test');
    const seen: string[] = [];
    const peer = await server((incoming, outgoing) => {
      seen.push(incoming.url ?? '');
      outgoing.end('{}');
    }, first);
    const { ask } = begin();
    await read(ask(`${peer.url}/a`, { pin: first.fingerprint }));
    await read(ask(`${peer.url}/b`, { pin: first.fingerprint.toUpperCase() }));
    expect(peer.connections()).toBe(1);
    // The server goes on with the old connection, but it was never checked against these.
    for (const pin of [second.fingerprint, undefined]) {
      const error = await ask(`${peer.url}/c`, pin === undefined ? {} : { pin }).catch((e: unknown) => e);
      expect(errorCode(error)).toBe('certificate-changed');
    }
    peer.renew(second);
    await read(ask(`${peer.url}/d`, { pin: second.fingerprint }));
    expect(seen).toEqual(['/a', '/b', '/d']);
    expect(peer.connections()).toBe(4);
  });

  it('keeps no connection of which any certificate was taken', async () => {
    const certificate = makeCertificate('peer.test');
    const peer = await server((_, outgoing) => outgoing.end('{}'), certificate);
    const { ask } = begin();
    await read(ask(peer.url, { anyCertificate: true }));
    await read(ask(peer.url, { anyCertificate: true }));
    expect(peer.connections()).toBe(2);
    expect(errorCode(await ask(peer.url).catch((e: unknown) => e))).toBe('certificate-changed');
  });

  it('asks another origin over its own connection', async () => {
    const one = await server((_, outgoing) => outgoing.end('one'));
    const two = await server((_, outgoing) => outgoing.end('two'));
    const { ask } = begin();
    expect([await read(ask(one.url)), await read(ask(two.url)), await read(ask(one.url))]).toEqual([
      'one',
      'two',
      'one',
    ]);
    expect([one.connections(), two.connections()]).toEqual([1, 1]);
  });

  it('does not use a connection again that was left early, refused, closed or spoken on unasked', async () => {
    const ways: Record<string, RequestListener> = {
      early: (_, outgoing) => void outgoing.writeHead(200).write('begun'),
      large: (_, outgoing) => outgoing.end('x'.repeat(2000)),
      closed: (_, outgoing) => outgoing.setHeader('connection', 'close').end('{}'),
      unasked: (incoming, outgoing) => {
        outgoing.end('{}', () => incoming.socket.write('HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil'));
      },
    };
    for (const [name, way] of Object.entries(ways)) {
      const closed: Promise<unknown>[] = [];
      const peer = await server((incoming, outgoing) => {
        if (incoming.url === '/again') return void outgoing.end('good');
        closed.push(once(incoming.socket, 'close'));
        return way(incoming, outgoing);
      });
      const { ask } = begin();
      const answer = await ask(peer.url).catch((error: unknown) => errorCode(error));
      if (typeof answer === 'string') expect(answer).toBe('answer-too-large');
      else if (name === 'early') for await (const _ of answer.body) break;
      else await answer.bytes();
      await Promise.all(closed);
      expect(await read(ask(`${peer.url}/again`)), name).toBe('good');
      expect(peer.connections(), name).toBe(2);
    }
  });

  it('asks once more, over a new connection, when a kept one turns out to be closed', async () => {
    let asked = 0;
    const peer = await server((incoming, outgoing) => {
      asked++;
      if (asked === 2) incoming.socket.destroy();
      else outgoing.end('{}');
    });
    const { ask } = begin();
    await read(ask(peer.url));
    expect(await read(ask(peer.url))).toBe('{}');
    expect([asked, peer.connections()]).toEqual([3, 2]);
  });
});

describe('a sync', () => {
  async function pair(certificate?: Certificate): Promise<[ExchangeNode, ExchangeNode]> {
    const made = [await startExchangeNode(certificate), await startExchangeNode()] as const;
    open.push(...made);
    const [source, puller] = made;
    source.befriend(puller);
    puller.befriend(source, certificate?.fingerprint);
    return [source, puller];
  }

  it.each([
    ['over HTTP', undefined],
    ['over TLS', makeCertificate('peer.test')],
  ])('asks for the frontier and a range over one connection %s and leaves none open', async (_, tls) => {
    const [source, puller] = await pair(tls);
    await source.ledgerNode.catalogue.createListing({ type: 'offer', title: 'Maize' });
    const before = source.connections();
    expect((await puller.sync(source.identity.peerId)).received).toBeGreaterThan(0);
    expect(source.served.length).toBeGreaterThanOrEqual(2);
    expect(source.connections() - before).toBe(1);
    await source.allClosed();
  });
});
