import { request } from 'node:http';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ProcessFederation, type ProcessMember } from '../support/federation.ts';
import { waitFor } from '../support/wait.ts';

const LISTINGS = 4000;
/** Not compressible to nothing: the export is to be larger than any buffer on its way. */
const NOTES_CHARS = 5000;
const STALLED = 10;
/** Buffers of sockets and streams; without back pressure it is several times as much. */
const ALLOWED_MB = 60;

/** Resident memory of a process, MiB. */
function residentMb(pid: number | undefined): number {
  const pages = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(pages) / 1024;
}

describe.skipIf(process.platform !== 'linux')('GET /federation/export', () => {
  const federation = new ProcessFederation();
  let node: ProcessMember;

  beforeAll(async () => {
    node = await federation.add();
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
  afterAll(() => federation.close());

  it('is whole and begins before it is ready', async () => {
    const response = await node.request('GET', '/federation/export');
    expect(response.headers.get('content-length')).toBeNull();
    let chunks = 0;
    let text = '';
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      chunks++;
      text += decoder.decode(chunk, { stream: true });
    }
    expect(chunks).toBeGreaterThan(20);
    const { listings, ...rest } = JSON.parse(text) as { listings: { listingId: string; notes: string }[] };
    expect(new Set(listings.map(({ listingId }) => listingId)).size).toBe(LISTINGS);
    expect(listings.every(({ notes }) => notes.length === NOTES_CHARS)).toBe(true);
    expect(rest).toMatchObject({ contracts: [], trends: [], transactions: [], users: [], count: LISTINGS });
  });

  it('waits for readers that do not read, in bounded memory, and the node goes on', async () => {
    const before = residentMb(node.child.pid);
    const stalled = Array.from({ length: STALLED }, () => request(`${node.url}/federation/export`));
    let answered = 0;
    for (const each of stalled) {
      each.on('response', (response) => {
        answered++;
        response.pause();
        response.on('error', () => undefined); // our own destroy below
      });
      each.on('error', () => undefined); // our own destroy below
      each.end();
    }
    try {
      await waitFor('the answers to begin', () => answered === stalled.length);
      // Who reads gets all of it meanwhile: without back pressure the whole of every other answer would be in memory by then.
      const read = await (await node.request('GET', '/federation/export')).text();
      expect(read.length).toBeGreaterThan(LISTINGS * NOTES_CHARS);
      const grown = residentMb(node.child.pid) - before;
      console.log(
        `${STALLED} stalled exports of ${(LISTINGS * NOTES_CHARS) / 1e6} MB each: ${grown.toFixed(0)} MiB more`,
      );
      expect(grown).toBeLessThan(ALLOWED_MB);
      const { listingId } = await node.json<{ listingId: string }>('POST', '/listings', {
        type: 'offer',
        title: 'Beans',
      });
      expect((await node.request('GET', `/listings/${listingId}`)).ok).toBe(true);
    } finally {
      for (const each of stalled) each.destroy();
    }
    expect(await node.stop()).toBe(0);
  });
});
