import type { Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  deafClient,
  type EventServer,
  eventServer,
  listenTo,
  type SseClient,
} from '../unit/events/event-server.ts';
import { waitFor } from '../support/wait.ts';

const DEAF = 300;
const READERS = 8;
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void; // as the flag makes it
const MIB = 1024 * 1024;

/** Must be shown: 300 clients that never read, while events flow. Memory is bounded, others get every event, all are closed in time. */
describe('300 clients that never read', () => {
  let server: EventServer;
  const deaf: Socket[] = [];
  const readers: SseClient[] = [];
  let closed = 0;

  beforeAll(async () => {
    server = await eventServer({ stalledMs: 5000 });
    for (let i = 0; i < READERS; i++) readers.push(await listenTo(`${server.url}/events`));
    for (let i = 0; i < DEAF; i++) {
      const socket = await deafClient(server.port, `deaf${i % 20}`);
      socket.once('close', () => (closed += 1));
      deaf.push(socket);
    }
    await waitFor('all to be connected', async () => (await server.connections()) >= DEAF + READERS);
  });
  afterAll(async () => {
    for (const reader of readers) reader.close();
    for (const socket of deaf) socket.destroy();
    await server.close();
  });

  it('cost bounded memory, delay nobody and are closed', async () => {
    const text = 'x'.repeat(32_000);
    const delays: number[] = [];
    collectGarbage();
    const before = process.memoryUsage().rss;
    let most = 0;
    let sent = 0;
    const got = (reader: SseClient) => reader.messages.at(-1)?.data['n'];
    await waitFor(
      'the deaf ones to be closed',
      async () => {
        for (let i = 0; i < 20 && sent < 4000; i++) {
          const at = performance.now();
          server.log.emit('conflict', { n: sent++, text });
          while (!readers.every((reader) => got(reader) === sent - 1))
            await new Promise<void>((next) => setImmediate(next));
          delays.push(performance.now() - at);
          // What the readers of this test keep is not the node's.
          for (const reader of readers) reader.messages.splice(0, reader.messages.length - 1);
        }
        collectGarbage(); // what is left is held
        most = Math.max(most, process.memoryUsage().rss - before);
        return (await server.connections()) <= READERS;
      },
      50_000,
    );
    const p99 = delays.toSorted((a, b) => a - b)[Math.floor(delays.length * 0.99)];
    // eslint-disable-next-line no-console -- the numbers are what this test is for
    console.log(
      `${DEAF} deaf clients closed after ${sent} events of 32 kB; memory +${Math.round(most / MIB)} MiB; p99 of the others ${p99?.toFixed(1)} ms`,
    );
    expect(most).toBeLessThan(192 * MIB);
    expect(p99).toBeLessThan(1000);
    // The others missed nothing: each waited for every event by its number.
    expect(readers.map((reader) => got(reader))).toEqual(Array(READERS).fill(sent - 1));
  });

  it('are closed in time, as all streams are, when the node stops', async () => {
    const idle: Socket[] = [];
    for (let i = 0; i < DEAF; i++) idle.push(await deafClient(server.port, `idle${i % 20}`));
    deaf.push(...idle);
    await waitFor('all to be connected', async () => (await server.connections()) >= DEAF + READERS);
    const at = performance.now();
    server.stopping();
    await Promise.all(readers.map((reader) => reader.ended));
    expect(performance.now() - at).toBeLessThan(2000);
    await server.close();
    expect(performance.now() - at).toBeLessThan(4000);
    server = await eventServer();
  });
});
