import { afterEach, describe, expect, it } from 'vitest';
import { createNumberCipher } from '../../../daemon/number-cipher.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { seededRandom } from '../../support/random.ts';
import { waitFor } from '../../support/wait.ts';
import { deafClient, type EventServer, eventServer, listenTo, type SseClient } from './event-server.ts';

const OPERATOR = { 'x-test-user': 'op::operator' };
const AMINA = { 'x-test-user': 'k1:amina:read,write' };
const BARAKA = { 'x-test-user': 'k2:baraka:read,write' };

describe('server-sent events over a socket', () => {
  let server: EventServer | undefined;
  const clients: SseClient[] = [];

  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await server?.close();
    server = undefined;
  });
  async function listen(path: string, headers: Record<string, string> = {}): Promise<SseClient> {
    const client = await listenTo(`${server?.url}${path}`, headers);
    clients.push(client);
    return client;
  }
  const byText = (one: object, other: object) => JSON.stringify(one).localeCompare(JSON.stringify(other));
  const seen = (client: SseClient) => client.messages.map(({ data }) => data['n']);
  const told = async (client: SseClient, count: number) =>
    waitFor(`${count} events`, () => client.messages.length >= count);

  it('tells events with ids and headers, and resumes after Last-Event-ID', async () => {
    server = await eventServer();
    const first = await listen('/events');
    expect(first.status).toBe(200);
    expect(Object.fromEntries(first.headers)).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
    for (let n = 1; n <= 5; n++) server.log.emit('federation.sync', { n });
    await told(first, 5);
    expect(first.messages[4]).toEqual({ event: 'federation.sync', id: '5', data: { n: 5 } });
    first.close();

    for (let n = 6; n <= 900; n++) server.log.emit(n % 2 === 0 ? 'conflict' : 'ping.update', { n });
    const second = await listen('/events', { 'last-event-id': '3' });
    await told(second, 897);
    expect(seen(second)).toEqual(Array.from({ length: 897 }, (_, i) => i + 4));
    const some = await listen('/events?types=conflict,notification', { 'last-event-id': '890' });
    await told(some, 5);
    expect(seen(some)).toEqual([892, 894, 896, 898, 900]);
    const ahead = await listen('/events', { 'last-event-id': '70000' });
    await told(ahead, 1);
    expect(ahead.messages[0]).toMatchObject({ event: 'reset', id: '0', data: { oldest: 1 } });
  });

  it('shows nobody what is not for him', async () => {
    server = await eventServer();
    const [operator, amina, baraka, anonymous] = await Promise.all([
      listen('/events', OPERATOR),
      listen('/events', AMINA),
      listen('/events', BARAKA),
      listen('/events'),
    ]);
    const stream = await listen('/stream/c1', AMINA);
    server.log.emit('conflict', { n: 1 });
    server.log.emit('notification', { n: 2 }, { userId: 'amina' });
    server.log.emit('federation.node', { n: 3 }, { operatorOnly: true });
    server.log.emit('message', { n: 4 }, { conversation: 'conversations/o/c1' });
    server.log.emit('message', { n: 5 }, { conversation: 'conversations/o/c2' });
    const relayed = await fetch(`${server.url}/stream/c1/tokens`, {
      method: 'POST',
      headers: { ...AMINA, 'content-type': 'application/json' },
      body: JSON.stringify({ id: 'm', token: 'Ja' }),
    });
    expect([relayed.status, await relayed.json()]).toEqual([202, { relayed: true }]);
    server.log.emit('conflict', { n: 6 });
    for (const client of [operator, amina, baraka, anonymous])
      await waitFor('the last event', () => seen(client).includes(6));
    await told(stream, 2);
    expect(seen(operator)).toEqual([1, 2, 3, 6]);
    expect(seen(amina)).toEqual([1, 2, 6]);
    expect(seen(baraka)).toEqual([1, 6]);
    expect(seen(anonymous)).toEqual([1, 6]);
    expect(stream.messages).toEqual([
      { event: 'message', id: expect.stringMatching(/^\.[\w-]{22}$/), data: { n: 4 } },
      { event: 'token', data: { id: 'm', token: 'Ja' } },
    ]);
    expect((await listen('/stream/c1', BARAKA)).status).toBe(404);
    expect((await listen('/stream/c9', AMINA)).status).toBe(404);
    expect((await listen('/stream/c1')).status).toBe(403);
    // Resuming shows no more than listening did.
    const later = await listen('/events', {
      ...BARAKA,
      'last-event-id': `0.${server.log.encryptPlace(0)}`,
    });
    await told(later, 2);
    expect(seen(later)).toEqual([1, 6]);
  });

  /** What one listener of each kind is told, as ids and numbers, of what is emitted in between. */
  const idsOf = (client: SseClient) => client.messages.map(({ id, data }) => [id, data['n']]);

  it('numbers what is for everybody as if nothing else happened', async () => {
    const transcripts: unknown[] = [];
    for (const others of [0, 500]) {
      server = await eventServer({}, { window: 16 });
      const { log } = server;
      const whisper = (): void => {
        for (let i = 0; i < others; i++)
          log.emit('ping.update', { n: -1 }, [{ userId: 'amina' }, { operatorOnly: true }][i % 2]);
      };
      const live = await listen('/events');
      const reader = await listen('/events', BARAKA);
      for (let n = 1; n <= 4; n++) {
        whisper();
        log.emit('conflict', { n });
      }
      whisper();
      await waitFor('the events', () => live.messages.length === 4 && reader.messages.length === 4);
      const resumed = await listen('/events', { 'last-event-id': '2' });
      const lost = await listen('/events', { 'last-event-id': '77' });
      await waitFor('the replays', () => resumed.messages.length === 2 && lost.messages.length === 5);
      // For whoever has a key and no part in it, the public half of the ids, which the other says nothing beside.
      const own = idsOf(reader).map(([id, n]) => [String(id).split('.')[0], n]);
      transcripts.push(
        [live, resumed, lost].map((client) => client.messages),
        own,
      );
      for (const client of clients.splice(0)) client.close();
      await server.close();
    }
    server = undefined;
    expect(transcripts.slice(2)).toEqual(transcripts.slice(0, 2));
    expect(transcripts[0]).toMatchObject([
      [{ id: '1' }, { id: '2' }, { id: '3' }, { id: '4' }],
      [{ id: '3' }, { id: '4' }],
      [{ event: 'reset', id: '0', data: { oldest: 1 } }, { id: '1' }, { id: '2' }, { id: '3' }, { id: '4' }],
    ]);
  });

  it('seals a place so that two of one place differ, and takes no other text for one', async () => {
    server = await eventServer();
    const { log } = server;
    const [one, other] = [log.encryptPlace(41), log.encryptPlace(41)];
    expect(one).not.toBe(other);
    expect([one, other].map((text) => log.decryptPlace(text))).toEqual([41, 41]);
    expect([log.decryptPlace(log.encryptPlace(0)), log.decryptPlace(log.encryptPlace(2 ** 40))]).toEqual([
      0,
      2 ** 40,
    ]);
    for (const text of ['', 'x', 'A'.repeat(22), Buffer.alloc(16, 7).toString('base64url')])
      expect(log.decryptPlace(text), text).toBeUndefined();
  });

  it('tells whoever comes with an id that cannot be read to begin anew, in every log that it hears', async () => {
    server = await eventServer();
    const { log } = server;
    for (let n = 1; n <= 3; n++) {
      log.emit('conflict', { n });
      log.emit('conflict', { n: 10 + n }, { userId: 'amina' });
      log.emit('message', { n: 20 + n }, { conversation: 'conversations/o/c1' });
    }
    const sealed = log.encryptPlace(6);
    const ofAnother = createNumberCipher(
      identityFromSeed(new Uint8Array(32).fill(5)),
      'agrinet event places',
      systemEnv,
    ).encrypt(6);
    const unreadable = {
      garbage: 'no id at all',
      'longer garbage': 'x'.repeat(2000),
      'sealed garbage': `3.${'A'.repeat(22)}`,
      'the key of another node': `3.${ofAnother}`,
      truncated: `3.${sealed.slice(0, -1)}`,
      'cut before the seal': '3.',
      'the id of one who hears the public log alone': '3',
    };
    for (const [what, id] of Object.entries(unreadable)) {
      const client = await listen('/events', { ...AMINA, 'last-event-id': id });
      await waitFor(what, () => client.messages.some(({ data }) => data['n'] === 13));
      const resets = client.messages.filter(({ event }) => event === 'reset');
      const public_ = /^3(\.[\w-]{22})?$/.test(id) ? [] : [{ oldest: 1 }];
      expect(resets.map(({ data }) => data).toSorted(byText), what).toEqual(
        [...public_, {}].toSorted(byText),
      );
      // What is kept is told once more, and each id that came with it can be read.
      expect(seen(client).filter((n) => Number(n) > 10)).toEqual([11, 12, 13]);
      for (const { id: next } of client.messages)
        expect(log.decryptPlace(next?.split('.')[1] ?? ''), `${what}: ${next}`).toBeDefined();
    }
    for (const id of ['nothing', '3', `.${ofAnother}`]) {
      const stream = await listen('/stream/c1', { ...AMINA, 'last-event-id': id });
      await told(stream, 4);
      expect(
        stream.messages.map(({ event, data }) => [event, data['n']]),
        id,
      ).toEqual([
        ['reset', undefined],
        ['message', 21],
        ['message', 22],
        ['message', 23],
      ]);
    }
    // Whoever hears the public log alone needs no other place; an empty id is none, and one that can be read goes on.
    for (const [headers, id, want] of [
      [{}, `1.${ofAnother}`, [2, 3]],
      [AMINA, `2.${log.encryptPlace(4)}`, [3, 13]],
    ] as const) {
      const client = await listen('/events', { ...headers, 'last-event-id': id });
      await waitFor(id, () => client.messages.length >= want.length);
      expect(client.messages.map(({ data }) => data['n'])).toEqual(want);
    }
    const none = await listen('/events', { ...AMINA, 'last-event-id': '' });
    log.emit('conflict', { n: 4 });
    await told(none, 1);
    expect(none.messages.map(({ data }) => data['n'])).toEqual([4]);
  });

  it('loses nothing for anybody who comes back, and tells nobody twice', async () => {
    const seed = Number(process.env['SEED'] ?? 5);
    const random = seededRandom(seed);
    server = await eventServer({}, { window: 8 });
    const { log } = server;
    const audiences = [undefined, { userId: 'amina' }, { userId: 'baraka' }, { operatorOnly: true }];
    const listeners = [{}, AMINA, BARAKA, OPERATOR].map((headers) => ({
      headers: headers as Record<string, string>,
      lastId: undefined as string | undefined,
      got: [] as unknown[],
    }));
    const mine = (i: number, a: number): boolean => a === 0 || a === i || i === 3;
    const expected: number[][] = [[], [], [], []];
    let n = 0;
    const emitSome = (): void => {
      for (let k = Math.floor(random() * 60); k > 0; k--) {
        const a = Math.floor(random() * audiences.length);
        n++;
        log.emit('conflict', { n }, audiences[a]);
        for (const [i, list] of expected.entries()) if (mine(i, a)) list.push(n);
      }
    };
    for (let round = 0; round < 12; round++) {
      const open = await Promise.all(
        listeners.map(({ headers, lastId }, i) =>
          listen('/events', {
            ...headers,
            // Whoever comes for the first time wants all from the beginning.
            'last-event-id': lastId ?? (i === 0 ? '0' : `0.${log.encryptPlace(0)}`),
          }),
        ),
      );
      emitSome();
      for (const [i, client] of open.entries()) {
        const before = listeners[i]?.got.length ?? 0;
        const want = expected[i]?.length ?? 0;
        await waitFor(`all of listener ${i} (seed ${seed})`, () => before + client.messages.length >= want);
        client.close();
        listeners[i]?.got.push(...client.messages.map(({ data }) => data['n']));
        const lastId = client.messages.at(-1)?.id;
        if (lastId !== undefined && listeners[i] !== undefined) listeners[i].lastId = lastId;
      }
      emitSome(); // while nobody listens
    }
    for (const [i, { got }] of listeners.entries()) {
      const sorted = (got as number[]).toSorted((x, y) => x - y);
      expect(sorted, `listener ${i}, seed ${seed}`).toEqual(expected[i]?.slice(0, sorted.length));
    }
  });

  it('sends heartbeats when nothing else happens', async () => {
    server = await eventServer({ heartbeatMs: 30 });
    const client = await listen('/events');
    await told(client, 3);
    expect(client.messages.slice(0, 3)).toEqual(Array(3).fill({ event: 'ping', data: {} }));
  });

  it('caps streams per key and in total, frees them when the client is gone, ends them when the node stops', async () => {
    server = await eventServer({ perKey: 2, total: 3 });
    const [one] = [await listen('/events', AMINA), await listen('/events', AMINA)];
    expect((await listen('/events', AMINA)).status).toBe(429);
    const other = await listen('/events', BARAKA);
    expect((await listen('/events')).status).toBe(503);
    expect((await fetch(`${server.url}/events`, { method: 'HEAD' })).status).toBe(503);
    one?.close();
    await waitFor('the place to be free', async () => (await listen('/events', AMINA)).status === 200);
    server.stopping();
    await other.ended;
    expect((await listen('/events')).status).toBe(503);
  });

  it('begins no stream for HEAD', async () => {
    server = await eventServer({ total: 1 });
    for (let n = 0; n < 3; n++)
      expect((await fetch(`${server.url}/events`, { method: 'HEAD' })).status).toBe(200);
    expect((await listen('/events')).status).toBe(200);
  });

  /** Lets events flow until nobody but the reader is connected; how many that took. */
  async function floodUntilClosed(running: EventServer, text: string, most: number): Promise<number> {
    const deaf = await deafClient(running.port, 'deaf');
    const reader = await listen('/events', AMINA);
    let sent = 0;
    await waitFor(
      'the deaf client to be closed',
      async () => {
        for (let i = 0; i < 10 && sent < most; i++) {
          running.log.emit('conflict', { n: sent++, text });
          await waitFor('the one who reads', () => seen(reader).includes(sent - 1));
        }
        return (await running.connections()) === 1;
      },
      30_000,
    );
    expect(seen(reader).filter((n) => n !== undefined)).toHaveLength(sent);
    deaf.destroy();
    return sent;
  }

  it('closes who does not read when his queue is full', async () => {
    server = await eventServer({ queueEvents: 16, queueBytes: 1e9 });
    expect(await floodUntilClosed(server, 'x'.repeat(60_000), Infinity)).toBeGreaterThan(16);
  });

  it('closes who takes nothing for a time, with room left in his queue', async () => {
    server = await eventServer({ queueEvents: 10_000, queueBytes: 1e9, stalledMs: 300, heartbeatMs: 50 });
    expect(await floodUntilClosed(server, 'x'.repeat(60_000), 200)).toBeGreaterThan(20);
  });
});
