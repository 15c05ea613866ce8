import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { join } from '../support/daemon.ts';
import { counted, Federation, sameDigest } from '../support/federation.ts';

const RECORDS = 10_000;
const BATCH = 2000;

describe('a daemon that joins late', () => {
  const federation = new Federation();

  beforeAll(async () => {
    const author = await federation.add();
    for (let from = 0; from < RECORDS; from += BATCH) {
      const rows = Array.from({ length: BATCH }, (_, i) =>
        JSON.stringify({
          kind: 'listing',
          id: `lot-${from + i}`,
          type: 'offer',
          title: `Maize, lot ${from + i}`,
          price: i,
        }),
      );
      const response = await fetch(`${author.url}/import`, {
        method: 'POST',
        headers: { 'x-api-key': author.apiKey, 'content-type': 'application/x-ndjson' },
        body: `${rows.join('\n')}\n`,
      });
      expect(await response.text()).toContain(`"finished":true,"done":${BATCH},"created":${BATCH}`);
    }
  });
  afterAll(() => federation.close());

  it('gets all 10,000 records that were written before', async () => {
    const [author] = federation.members;
    if (author === undefined) throw new Error('no author');
    const joiner = await federation.add();
    const started = performance.now();
    await join(joiner, author);
    await sameDigest([author, joiner], 60_000, (state) => counted(state, 'listings') === RECORDS);
    const seconds = (performance.now() - started) / 1000;
    console.log(`a late joiner had ${RECORDS} records after ${seconds.toFixed(1)} s`);

    // The digest is a claim; the records are the proof.
    const [here, there] = await Promise.all(
      [author, joiner].map((each) =>
        each.json<{ listings: Record<string, unknown>[] }>('GET', '/federation/export'),
      ),
    );
    expect(there?.listings.length).toBe(RECORDS);
    // Each names a listing by its owner's id; only on the owner's own node that can be left out.
    const bare = (listings: readonly Record<string, unknown>[] | undefined): unknown[] =>
      (listings ?? []).map((l) => [String(l['title']), l['price'], l['updatedAt']]).sort();
    expect(bare(there?.listings)).toEqual(bare(here?.listings));
    // Nothing of it went missing on the way, so nothing is asked for a second time.
    const { nodes } = await joiner.json<{ nodes: { lag: number; connected: boolean }[] }>(
      'GET',
      '/federation/nodes',
    );
    expect(nodes).toMatchObject([{ lag: 0, connected: true }]);
  }, 90_000);
});
