import type { RequestListener } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import type { Resolve } from '../../../daemon/checked-lookup.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { createGuardedFetch, type GuardedRequest } from '../../../daemon/federation/guarded-fetch.ts';
import { errorCode } from '../../../protocols/errors.ts';
import { type Certificate, makeCertificate } from '../../support/certificates.ts';
import { type LoopbackServer, serve } from '../../support/loopback-server.ts';

const REQUEST: GuardedRequest = { timeoutMs: 5000, maxBytes: 1000 };
const open: { close(): Promise<unknown> }[] = [];

async function server(
  listener: RequestListener,
  options?: { tls?: Certificate; host?: string },
): Promise<LoopbackServer> {
  const made = await serve(listener, options);
  open.push(made);
  return made;
}
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
});

const fetchLoopback = createGuardedFetch({ env: systemEnv, allowPrivate: false, allowLoopback: true });
const codeOf = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'none',
    (error: unknown) => errorCode(error),
  );
const resolver =
  (...answers: string[][]): Resolve =>
  (_, __, done) => {
    const addresses = (answers.length > 1 ? answers.shift() : answers[0]) ?? [];
    done(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );
  };

describe('the guarded fetcher', () => {
  it('asks and answers, with its body as a stream or as JSON', async () => {
    const peer = await server((incoming, outgoing) => {
      incoming.on('data', (data: Buffer) =>
        outgoing.end(JSON.stringify({ got: data.toString(), host: incoming.headers.host })),
      );
    });
    const answer = await fetchLoopback(`${peer.url}/x`, { ...REQUEST, method: 'POST', body: 'hello' });
    expect(answer.status).toBe(200);
    expect(answer.tlsFingerprint).toBe('');
    expect(await answer.json()).toEqual({ got: 'hello', host: `127.0.0.1:${peer.port}` });
  });

  it('follows no redirect', async () => {
    const target = await server((_, outgoing) => outgoing.end('reached'));
    const peer = await server((_, outgoing) => outgoing.writeHead(302, { location: target.url }).end());
    expect(await codeOf(fetchLoopback(peer.url, REQUEST))).toBe('peer-redirects');
    expect(target.connections()).toBe(0);
  });

  it('bounds the answer, said or streamed', async () => {
    const long = await server((_, outgoing) => outgoing.end('x'.repeat(1001)));
    expect(await codeOf(fetchLoopback(long.url, REQUEST))).toBe('answer-too-large');
    const stream = await server((_, outgoing) => {
      const more = (): void => void outgoing.write('x'.repeat(500), more);
      more();
    });
    const answer = await fetchLoopback(stream.url, REQUEST);
    expect(await codeOf(answer.bytes())).toBe('answer-too-large');
  });

  it('ends an exchange that is slow or silent', async () => {
    const silent = await server(() => undefined);
    expect(await codeOf(fetchLoopback(silent.url, { ...REQUEST, timeoutMs: 200 }))).toBe('peer-timeout');
    const drops = await server((_, outgoing) => {
      outgoing.writeHead(200);
      const timer = setInterval(() => outgoing.write('.'), 10);
      outgoing.on('close', () => clearInterval(timer));
    });
    const slow = await fetchLoopback(drops.url, { ...REQUEST, timeoutMs: 300 });
    expect(await codeOf(slow.bytes())).toBe('peer-timeout');
    const stops = await server((_, outgoing) => outgoing.write('begun'));
    const idle = await fetchLoopback(stops.url, { ...REQUEST, idleMs: 200 });
    expect(await codeOf(idle.bytes())).toBe('peer-timeout');
  });

  it('tells an answer that was cut off, one that is no HTTP and one in another encoding', async () => {
    const cut = await server((_, outgoing) => {
      outgoing.writeHead(200, { 'content-length': '500' });
      outgoing.write('half', () => outgoing.destroy());
    });
    expect(await codeOf(fetchLoopback(cut.url, REQUEST).then((answer) => answer.bytes()))).toBe(
      'peer-unreachable',
    );
    const raw = createServer((socket) => socket.end('SSH-2.0-secret\r\n')).listen(0, '127.0.0.1');
    await once(raw, 'listening');
    const { port } = raw.address() as AddressInfo;
    const refused = await fetchLoopback(`http://127.0.0.1:${port}`, REQUEST).catch((error: unknown) => error);
    raw.close();
    expect(errorCode(refused)).toBe('answer-malformed');
    expect(String(refused)).not.toContain('secret');
    const packed = await server((_, outgoing) => outgoing.setHeader('content-encoding', 'gzip').end('x'));
    expect(await codeOf(fetchLoopback(packed.url, REQUEST))).toBe('answer-malformed');
    const text = await server((_, outgoing) => outgoing.end('<html>'));
    expect(await codeOf(fetchLoopback(text.url, REQUEST).then((answer) => answer.json()))).toBe(
      'answer-malformed',
    );
  });

  it('checks all addresses of a name in the look-up of the connection itself', async () => {
    const peer = await server((_, outgoing) => outgoing.end('peer'), { host: '127.0.0.2' });
    const url = `http://peer.test:${peer.port}`;
    // Would the name be resolved a second time, the connection would go to another address.
    const turning = createGuardedFetch({
      env: systemEnv,
      allowPrivate: false,
      allowLoopback: true,
      lookup: resolver(['127.0.0.2'], ['127.0.0.3']),
    });
    expect(Buffer.from(await (await turning(url, REQUEST)).bytes()).toString()).toBe('peer');

    for (const addresses of [['127.0.0.2'], ['8.8.8.8', '127.0.0.2'], ['::ffff:127.0.0.2'], ['fe80::1%lo']]) {
      const closed = createGuardedFetch({ env: systemEnv, allowPrivate: false, lookup: resolver(addresses) });
      expect(await codeOf(closed(`https://peer.test:${peer.port}`, REQUEST))).toBe('address-refused');
    }
    expect(peer.connections()).toBe(1);
  });
});

describe('certificates of peers', () => {
  const first = makeCertificate('peer.test');
  const second = makeCertificate('peer.test');

  it('sends nothing to another certificate than the pinned one', async () => {
    let requests = 0;
    const peer = await server(
      (_, outgoing) => {
        requests++;
        outgoing.end('{}');
      },
      { tls: first },
    );
    const answer = await fetchLoopback(peer.url, { ...REQUEST, pin: first.fingerprint });
    expect(answer.tlsFingerprint).toBe(first.fingerprint);
    await answer.bytes();
    const other = fetchLoopback(peer.url, {
      ...REQUEST,
      pin: second.fingerprint,
      headers: { 'x-api-key': 'k' },
    });
    expect(await codeOf(other)).toBe('certificate-changed');
    expect(requests).toBe(1);
  });

  it('wants a CA and the right name without a pin, and reports any certificate when told to', async () => {
    const peer = await server((_, outgoing) => outgoing.end('{}'), { tls: first });
    const lookup = resolver(['127.0.0.1']);
    const trusting = createGuardedFetch({ env: systemEnv, allowPrivate: true, lookup, ca: first.cert });
    const url = (name: string): string => `https://${name}:${peer.port}`;
    expect(await codeOf(fetchLoopback(peer.url, REQUEST))).toBe('certificate-changed');
    expect(await codeOf(trusting(url('peer.test'), REQUEST))).toBe('none');
    expect(await codeOf(trusting(url('other.test'), REQUEST))).toBe('certificate-changed');
    const any = await fetchLoopback(peer.url, { ...REQUEST, anyCertificate: true });
    expect(any.tlsFingerprint).toBe(first.fingerprint);
    await any.bytes();
  });
});
