import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  complaints,
  digestOf,
  ProcessFederation,
  type ProcessMember,
  sameDigest,
} from '../support/federation.ts';
import { waitFor } from '../support/wait.ts';

const IN_FLIGHT = 64;
const ENOUGH = 500;

/** Posts listings without pause until the daemon takes no more; `acknowledged` grows with each 201. */
function load(member: ProcessMember): { readonly acknowledged: string[]; readonly ended: Promise<void> } {
  const acknowledged: string[] = [];
  async function one(): Promise<void> {
    for (;;) {
      try {
        const response = await member.request('POST', '/listings', { type: 'offer', title: 'under load' });
        if (response.status !== 201) return;
        acknowledged.push(((await response.json()) as { listingId: string }).listingId);
      } catch {
        return; // the daemon has closed its door: what it did not acknowledge may be lost
      }
    }
  }
  return { acknowledged, ended: Promise.all(Array.from({ length: IN_FLIGHT }, one)).then(() => undefined) };
}

/** An import that has no end by itself; resolves to the records the daemon said were done. */
async function endlessImport(member: ProcessMember): Promise<number> {
  let no = 0;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      await new Promise<void>((next) => setImmediate(next));
      const rows = Array.from({ length: 200 }, () =>
        JSON.stringify({ kind: 'listing', id: `row-${no++}`, type: 'offer', title: 'imported' }),
      );
      controller.enqueue(new TextEncoder().encode(`${rows.join('\n')}\n`));
    },
  });
  let done = 0;
  let text = '';
  try {
    // Node's fetch wants `duplex` for a body that streams; the DOM's types do not know it.
    const init: RequestInit & { duplex: 'half' } = {
      method: 'POST',
      headers: { 'x-api-key': member.apiKey, 'content-type': 'application/x-ndjson' },
      body,
      duplex: 'half',
    };
    const response = await fetch(`${member.url}/import`, init);
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk).toString('utf8');
      for (const [, count] of text.matchAll(/"created":(\d+)/g)) done = Math.max(done, Number(count));
      text = text.slice(-400);
    }
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // fetch's word for a closed connection
  }
  return done;
}

/** Stops with SIGTERM; fails unless it ends by itself, with exit code 0, within 10 s. */
async function expectOrderlyStop(member: ProcessMember): Promise<number> {
  const started = performance.now();
  const kill = setTimeout(() => member.child.kill('SIGKILL'), 15_000);
  const code = await member.stop('SIGTERM');
  clearTimeout(kill);
  const ms = Math.round(performance.now() - started);
  expect({ code, signal: member.child.signalCode }, member.output().slice(-2000)).toEqual({
    code: 0,
    signal: null,
  });
  expect(ms).toBeLessThan(10_000);
  return ms;
}

async function listingIds(member: ProcessMember): Promise<Set<string>> {
  const { listings } = await member.json<{ listings: { listingId: string }[] }>('GET', '/federation/export');
  return new Set(listings.map(({ listingId }) => listingId));
}

describe('SIGTERM', () => {
  const federation = new ProcessFederation();
  let writer: ProcessMember;
  let peer: ProcessMember;

  beforeAll(async () => {
    writer = await federation.add();
    peer = await federation.add();
    await federation.registerAll();
  });
  afterAll(() => federation.close());

  it('during writes, with a peer connected: ends in 10 s with 0, nothing acknowledged is lost', async () => {
    const { acknowledged, ended } = load(writer);
    await waitFor('the load to run', () => acknowledged.length >= ENOUGH);
    const ms = await expectOrderlyStop(writer);
    await ended;
    expect(complaints(writer)).toEqual([]);
    console.log(`stopped under load in ${ms} ms; ${acknowledged.length} writes were acknowledged`);

    // The second start finds nothing to repair.
    writer = await federation.start(writer.dir);
    expect(complaints(writer)).toEqual([]);
    const held = await listingIds(writer);
    expect(acknowledged.filter((id) => !held.has(id))).toEqual([]);
    await sameDigest([writer, peer], 30_000);
  }, 90_000);

  it('during an import: the same', async () => {
    const before = (await digestOf(writer)).owners[writer.peerId]?.collections['listings']?.count ?? 0;
    const importing = endlessImport(writer);
    await waitFor('the import to run', async () => {
      const count = (await digestOf(writer)).owners[writer.peerId]?.collections['listings']?.count ?? 0;
      return count >= before + ENOUGH;
    });
    const ms = await expectOrderlyStop(writer);
    const done = await importing;
    expect(complaints(writer)).toEqual([]);
    console.log(`stopped during an import in ${ms} ms; ${done} rows were reported done`);
    expect(done).toBeGreaterThan(0);

    writer = await federation.start(writer.dir);
    expect(complaints(writer)).toEqual([]);
    const after = (await digestOf(writer)).owners[writer.peerId]?.collections['listings']?.count ?? 0;
    expect(after - before).toBeGreaterThanOrEqual(done);
    await sameDigest([writer, peer], 30_000);
  }, 90_000);

  it('while it catches up from a peer: the same, and the rest comes after the next start', async () => {
    await expectOrderlyStop(peer);
    for (let i = 0; i < 10; i++) {
      const rows = Array.from({ length: 1000 }, (_, n) =>
        JSON.stringify({ kind: 'listing', id: `later-${i}-${n}`, type: 'offer', title: 'later' }),
      );
      const response = await fetch(`${writer.url}/import`, {
        method: 'POST',
        headers: { 'x-api-key': writer.apiKey, 'content-type': 'application/x-ndjson' },
        body: rows.join('\n'),
      });
      expect(await response.text()).toContain('"finished":true');
    }
    peer = await federation.start(peer.dir);
    // As soon as it answers: it is about to pull, or in the middle of it.
    await expectOrderlyStop(peer);
    expect(complaints(peer)).toEqual([]);
    peer = await federation.start(peer.dir);
    await sameDigest([writer, peer], 40_000);
    expect(complaints(peer)).toEqual([]);
  }, 90_000);
});
