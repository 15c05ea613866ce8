import { connect, type AddressInfo, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { Hono } from 'hono';
import { stream } from 'hono/streaming';
import { createHttpServer, type ServerLimits } from '../../../daemon/http-server.ts';
import { every, pause } from '../../../protocols/env.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { type SelfSigned, selfSigned } from '../../support/self-signed.ts';
import { waitFor } from '../../support/wait.ts';

const limits: Partial<ServerLimits> = { headersMs: 200, stalledMs: 300, keepAliveMs: 2000 };
const MB = new Uint8Array(1024 * 1024);
/** More than the kernel's buffers hold, so that reading it in pieces takes several times the limit. */
const LARGE = new Uint8Array(12 * 1024 * 1024);

/** A connection, and all that came over it. */
class Line {
  readonly socket: Socket;
  readonly closed: Promise<unknown>;
  text = '';
  isClosed = false;

  constructor(port: number, reads = true) {
    this.socket = connect(port, '127.0.0.1');
    this.socket.on('error', () => undefined); // a reset is one way of being closed
    this.closed = new Promise((resolve) => {
      this.socket.once('close', () => resolve((this.isClosed = true)));
    });
    if (reads) this.socket.setEncoding('latin1').on('data', (text: string) => (this.text += text));
  }

  send(text: string): this {
    this.socket.write(text);
    return this;
  }

  /** Waits until the other side has closed; the status of the last answer, if one came. */
  async end(): Promise<number | undefined> {
    await waitFor('the connection to be closed', () => this.isClosed, 5000);
    return this.status();
  }

  async answer(): Promise<number | undefined> {
    await waitFor('an answer', () => this.text.includes('\r\n\r\n'), 5000);
    return this.status();
  }

  status(): number | undefined {
    const status = /HTTP\/1\.1 (\d+)/.exec(this.text)?.[1];
    return status === undefined ? undefined : Number(status);
  }
}

/** Sends half a body and waits until the server has had enough of it: so the limit has gone by, on the server's own clock. */
async function standstill(line: Line): Promise<void> {
  line.send('POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na');
  expect(await line.end()).toBe(408);
}

/** Lets nothing in this process run for so long, from after its sockets were read until before its timers are called; then a turn of the loop. */
async function standStill(ms: number): Promise<void> {
  await turn();
  const until = systemEnv.monotonic() + ms;
  while (systemEnv.monotonic() < until);
  await pause(systemEnv, 1);
}

describe('createHttpServer', () => {
  const open: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of open.splice(0)) await close();
  });

  /** A server with routes that answer, stream without end, read slowly and take their time. */
  async function serve(given: Partial<ServerLimits> = limits) {
    const state = { produced: 0, taken: 0 };
    const app = new Hono();
    app.onError((_, c) => c.text('failed', 500));
    app.get('/', (c) => c.text('here'));
    app.post('/echo', async (c) => c.text(await c.req.text()));
    app.post('/take', async (c) => {
      for await (const chunk of c.req.raw.body ?? []) state.taken += chunk.byteLength;
      return c.text(String(state.taken));
    });
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    app.all('/long', async (c) => {
      await released;
      return c.text('at last');
    });
    app.get('/large', (c) => c.body(LARGE));
    app.get('/flood', (c) =>
      stream(c, async (out) => {
        while (!out.aborted) {
          state.produced++;
          await out.write(MB);
        }
      }),
    );
    const { server } = createHttpServer({ env: systemEnv, fetch: app.fetch, limits: given });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    open.push(async () => {
      release();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    });
    return { port, state, release, server, line: (reads = true) => new Line(port, reads) };
  }

  it('closes who says nothing, half a head, or a head without end', async () => {
    const { line } = await serve();
    const silent = line();
    const half = line().send('GET / HTTP/1.1\r\nHost: localhost\r\n');
    const trickled = line().send('GET / HTTP/1.1\r\nHost: localhost\r\n');
    const timer = setInterval(() => trickled.send('X-A: b\r\n'), 20);
    try {
      expect(await Promise.all([silent.end(), half.end(), trickled.end()])).toEqual([408, 408, 408]);
      expect(half.text).toContain('"code":"headers-slow"');
    } finally {
      clearInterval(timer);
    }
  });

  it('ends a body that stopped coming with 408, also one sent in chunks', async () => {
    const { line } = await serve();
    for (const path of ['/echo', '/take']) {
      const sized = line().send(`POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc`);
      const chunked = line().send(
        `POST ${path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`,
      );
      expect(await Promise.all([sized.end(), chunked.end()])).toEqual([408, 408]);
      expect(sized.text).toContain('"code":"body-slow"');
    }
  });

  it('leaves a body alone that goes on coming, slowly', async () => {
    const LENGTH = 1000;
    const { line, state } = await serve();
    const slow = line().send(`POST /take HTTP/1.1\r\nHost: a\r\nContent-Length: ${LENGTH}\r\n\r\n`);
    let sent = 0;
    const trickle = every(systemEnv, 50, () => {
      slow.send('x');
      sent++;
    });
    // What is checked is that nothing happens: two standstills of others end meanwhile, one after the other.
    for (let i = 0; i < 2; i++) await standstill(line());
    trickle.cancel();
    expect([slow.isClosed, slow.text]).toEqual([false, '']);
    expect(sent).toBeGreaterThan(2);
    slow.send('x'.repeat(LENGTH - sent));
    expect(await slow.answer()).toBe(200);
    expect(state.taken).toBe(LENGTH);
  });

  it('does not hold its own slowness against the client', async () => {
    const { line, release } = await serve();
    const get = line().send('GET /long HTTP/1.1\r\nHost: a\r\n\r\n');
    const post = line().send('POST /long HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc');
    // What is checked is that nothing happens: three standstills of others end meanwhile, one after the other.
    for (let i = 0; i < 3; i++) await standstill(line());
    expect([get.isClosed, post.isClosed]).toEqual([false, false]);
    release();
    expect([await get.answer(), await post.answer()]).toEqual([200, 200]);
  });

  it('destroys who does not read, and produces no more for them', async () => {
    const { line, state } = await serve();
    const stalled = line(false).send('GET /flood HTTP/1.1\r\nHost: a\r\n\r\n');
    stalled.socket.pause();
    const reader = line(false).send('GET /flood HTTP/1.1\r\nHost: a\r\n\r\n');
    let read = 0;
    reader.socket.on('data', (chunk) => (read += chunk.length));
    await waitFor('the server to have closed it', () => {
      stalled.send('\r\n'); // tells a side that does not read, and must not count as reading
      return stalled.isClosed;
    });
    const before = read;
    await waitFor('the other one to read on', () => read > before + 1024 * 1024);
    expect(reader.isClosed).toBe(false);
    reader.socket.destroy();
    await reader.closed;
    let last = -1;
    await waitFor('the streams to end', () => {
      const ended = last === state.produced;
      last = state.produced;
      return ended;
    });
  });

  it('leaves a reader alone that takes one large answer slowly', async () => {
    // Three times the limit at a third of the pace: what a busy machine adds to each step counts a third.
    const { line } = await serve({ ...limits, stalledMs: 900 });
    const slow = line(false).send('GET /large HTTP/1.1\r\nHost: a\r\n\r\n');
    let read = 0;
    const timer = setInterval(() => slow.socket.resume(), 15);
    slow.socket.on('data', (chunk) => {
      read += chunk.length;
      slow.socket.pause();
    });
    try {
      await waitFor('the whole of it', () => read > LARGE.length, 20_000);
    } finally {
      clearInterval(timer);
      slow.socket.destroy();
    }
  });

  it('does not hold it against slow clients that the node itself stood still', async () => {
    const { line, state } = await serve();
    const head = line().send('GET / HTTP/1.1\r\nHost: a\r\n');
    const body = line().send('POST /take HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\na');
    await waitFor('the beginning of the body', () => state.taken === 1);
    const reader = line(false).send('GET /large HTTP/1.1\r\nHost: a\r\n\r\n');
    let read = 0;
    await once(
      reader.socket.on('data', (chunk) => (read += chunk.length)),
      'data',
    );
    reader.socket.pause();
    // Several times every limit, in which neither the server nor these clients did anything.
    for (let i = 0; i < 4; i++) await standStill(500);
    expect([head.isClosed, body.isClosed, reader.isClosed]).toEqual([false, false, false]);
    head.send('\r\n');
    body.send('bcd');
    reader.socket.resume();
    expect([await head.answer(), await body.answer()]).toEqual([200, 200]);
    await waitFor('the whole of the answer', () => read > LARGE.length);
    reader.socket.destroy();
    // Who still says nothing has its time once more, and no longer.
    const silent = line().send('GET / HTTP/1.1\r\nHost: a\r\n');
    await standStill(500);
    expect(await silent.end()).toBe(408);
  });

  it('keeps idle connections for their time, then closes them', async () => {
    const { line } = await serve({ ...limits, keepAliveMs: 500 });
    const kept = line().send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    expect(await kept.answer()).toBe(200);
    await standstill(line()); // a connection between two requests outlives one that stands still in the middle
    kept.text = '';
    kept.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    expect(await kept.answer()).toBe(200);
    await kept.end();
  });

  it('answers what is no HTTP, too large, or not for it', async () => {
    const { line } = await serve();
    const large = `GET / HTTP/1.1\r\nHost: a\r\nX-Large: ${'x'.repeat(17 * 1024)}\r\n\r\n`;
    expect(await line().send('nonsense\r\n\r\n').end()).toBe(400);
    expect(await line().send(large).end()).toBe(431);
    expect(await line().send('CONNECT evil.example:443 HTTP/1.1\r\nHost: a\r\n\r\n').end()).toBe(405);
    expect(await line().send('GET / HTTP/1.1\r\n\r\n').answer()).toBe(400);
    const upgrade = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n';
    const expecting = 'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: ';
    expect(await line().send(`${expecting}nothing\r\n\r\nab`).answer()).toBe(200);
    const patient = line().send(`${expecting}100-continue\r\n\r\n`);
    expect(await patient.answer()).toBe(100);
    patient.send('ab');
    await waitFor('the answer', () => patient.text.includes('200 OK'), 5000);
    const upgraded = line().send(upgrade);
    expect(await upgraded.answer()).toBe(200);
    upgraded.socket.destroy();
  });

  it('caps the connections of one address and of all', async () => {
    for (const cap of [{ perLoopback: 3 }, { connections: 3 }]) {
      const { line } = await serve({ ...limits, headersMs: 5000, ...cap });
      const held = [line(), line(), line()];
      await Promise.all(held.map(({ socket }) => once(socket, 'connect')));
      for (const each of held)
        expect(await each.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n').answer()).toBe(200);
      const beyond = line().send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      expect(await beyond.end()).toBeUndefined();
      held[0]?.socket.destroy();
      await held[0]?.closed;
      const status = await waitFor('room again', async () => {
        const next = line().send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
        await waitFor('an end or an answer', () => next.isClosed || next.text !== '');
        return next.status();
      });
      expect(status).toBe(200);
    }
  });

  it('serves TLS within the same limits, and a renewed certificate', async () => {
    const [first, second] = [selfSigned(), selfSigned()];
    const app = new Hono();
    app.onError((_, c) => c.text('failed', 500));
    app.get('/', (c) => c.text(new URL(c.req.url).protocol));
    app.post('/', async (c) => c.text(await c.req.text()));
    const { server, renew } = createHttpServer({ env: systemEnv, fetch: app.fetch, tls: first, limits });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    open.push(async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    });
    /** Sends over TLS; what had come until the server closed, or `until` was there. */
    const ask = async (bytes: string, { cert, fingerprint }: SelfSigned, until?: string): Promise<string> => {
      const socket = connectTls({ port, host: '127.0.0.1', ca: cert });
      let text = '';
      let closed = false;
      socket.setEncoding('utf8').on('data', (more: string) => (text += more));
      socket.on('close', () => (closed = true));
      await once(socket, 'secureConnect');
      expect(socket.getPeerX509Certificate()?.fingerprint256.replaceAll(':', '').toLowerCase()).toBe(
        fingerprint,
      );
      socket.write(bytes);
      await waitFor('an end', () => closed || (until !== undefined && text.includes(until)), 5000);
      socket.destroy();
      return text;
    };
    const get = 'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n';
    expect(await ask(get, first, 'https:')).toContain('200 OK');
    expect(await ask('GET / HTTP/1.1\r\nHost: a\r\n', first)).toContain('headers-slow');
    const stalled = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc';
    expect(await ask(stalled, first)).toContain('body-slow');
    expect(await new Line(port).send(get).end()).toBeUndefined(); // plain HTTP
    expect(await new Line(port).end()).toBeUndefined(); // no handshake at all
    renew(second);
    expect(await ask(get, second, 'https:')).toContain('200 OK');
  });
});
