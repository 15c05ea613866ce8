import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openConnection, requestBytes } from '../bench/raw-http.ts';
import { Federation, type Member } from '../support/federation.ts';
import { waitFor } from '../support/wait.ts';

/** Slow connections, a third of each kind; a campaign takes 500. */
const SLOW = Number(process.env['SLOW_CONNECTIONS'] ?? 150);
const LISTINGS = 4000;
/** The export must be larger than what the kernel takes for a reader that does not read. */
const NOTES_CHARS = 5000;
const ROUNDS = 5;
const REQUESTS = 1500;
const AT_ONCE = 4;
/** On top of twice the quiet p99: what two cores shared with other tests vary by, in milliseconds. */
const NOISE_MS = 5;
/** The longest of the limits, the look that finds it out, and a margin. */
const CLOSED_WITHIN_MS = 50_000;
const RSS_PER_CONNECTION_MB = 0.5;
const RSS_NOISE_MB = 60;

function residentMb(pid: number | undefined): number {
  const kb = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kb) / 1024;
}

/** Sockets that a process holds: what a client sees of a connection that it does not read is no proof. */
function socketsOf(pid: number | undefined): number {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).filter((fd) => {
    try {
      return readlinkSync(`${folder}/${fd}`).startsWith('socket:');
    } catch {
      return false; // closed between the two calls
    }
  }).length;
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

describe.skipIf(process.platform !== 'linux')(`${SLOW} slow connections`, () => {
  const federation = new Federation();
  const slow: Socket[] = [];
  const timers: NodeJS.Timeout[] = [];
  let node: Member;

  beforeAll(async () => {
    node = await federation.add({ RATE_LIMIT: 'off' });
    for (let from = 0; from < LISTINGS; from += 500) {
      const rows = Array.from({ length: 500 }, (_, i) => {
        const notes = `${from + i} `.repeat(NOTES_CHARS).slice(0, NOTES_CHARS);
        return JSON.stringify({
          kind: 'listing',
          id: `lot-${from + i}`,
          type: 'offer',
          title: 'Maize',
          notes,
        });
      });
      const response = await fetch(`${node.url}/import`, {
        method: 'POST',
        headers: { 'x-api-key': node.apiKey, 'content-type': 'application/x-ndjson' },
        body: rows.join('\n'),
      });
      expect(await response.text()).toContain('"finished":true');
    }
  });
  afterAll(async () => {
    for (const timer of timers) clearInterval(timer);
    for (const socket of slow) socket.destroy();
    await federation.close();
  });

  /** A connection that begins with `head`, then sends `more` twice a second, and never reads. */
  async function open(head: string, more = ''): Promise<void> {
    const socket = connect(Number(new URL(node.url).port), '127.0.0.1');
    socket.on('error', () => undefined); // being closed is what it is for
    slow.push(socket);
    await once(socket, 'connect');
    socket.pause();
    socket.write(head);
    if (more !== '') timers.push(setInterval(() => socket.writable && socket.write(more), 500));
  }

  /** The p99 of normal requests, reads and fsynced writes, in milliseconds. */
  async function p99(): Promise<number> {
    const port = Number(new URL(node.url).port);
    const headers = { 'x-api-key': node.apiKey };
    const read = requestBytes('GET', '/listings?limit=1', headers);
    const write = requestBytes('POST', '/listings', headers, { type: 'offer', title: 'Beans' });
    const times: number[] = [];
    const lane = async (): Promise<void> => {
      const connection = await openConnection(port);
      for (let i = 0; i < REQUESTS / AT_ONCE; i++) {
        const started = performance.now();
        const { status } = await connection.send(i % 10 === 0 ? write : read);
        times.push(performance.now() - started);
        expect(status).toBe(i % 10 === 0 ? 201 : 200);
      }
      connection.close();
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
    return times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? Number.NaN;
  }

  async function rounds(): Promise<number> {
    const each: number[] = [];
    for (let i = 0; i < ROUNDS; i++) each.push(await p99());
    return median(each);
  }

  it('leave others their p99, cost bounded memory, and are all closed in time', async () => {
    await rounds(); // compiles what both measurements run
    const quiet = await rounds();
    const memory = residentMb(node.child.pid);
    const sockets = socketsOf(node.child.pid);

    const kinds: [head: string, more?: string][] = [
      ['GET /listings HTTP/1.1\r\nHost: localhost\r\n', 'X-More: and more\r\n'],
      [
        `POST /listings HTTP/1.1\r\nHost: localhost\r\nx-api-key: ${node.apiKey}\r\ncontent-type: application/json\r\ncontent-length: 4096\r\n\r\n{`,
        ' ',
      ],
      ['GET /federation/export HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ];
    const opened = performance.now();
    for (let i = 0; i < SLOW; i++) {
      const [head, more] = kinds[i % kinds.length] ?? [''];
      await open(head, more);
    }
    await waitFor('the node to hold them', () => socketsOf(node.child.pid) >= sockets + SLOW * 0.9);
    const loaded = await rounds();
    let peak = 0;
    await waitFor(
      'the node to have closed every one of them',
      () => {
        peak = Math.max(peak, residentMb(node.child.pid) - memory);
        return socketsOf(node.child.pid) <= sockets;
      },
      CLOSED_WITHIN_MS,
    );
    const closedAfter = performance.now() - opened;
    const found = `p99 ${quiet.toFixed(1)} ms quiet, ${loaded.toFixed(1)} ms loaded; ${peak.toFixed(0)} MB more; all closed after ${(closedAfter / 1000).toFixed(0)} s`;
    console.log(found);
    expect(loaded, found).toBeLessThan(2 * quiet + NOISE_MS);
    expect(peak, found).toBeLessThan(RSS_NOISE_MB + SLOW * RSS_PER_CONNECTION_MB);
    expect((await node.request('GET', '/health')).status).toBe(200);
  }, 180_000);
});
