import { randomBytes } from 'node:crypto';
import { multiaddr } from '@multiformats/multiaddr';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { errorCode } from '../../../protocols/errors.ts';
import type { Checkpoint } from '../../../protocols/feed/checkpoint.ts';
import { REQUEST_HEADER, signRequest } from '../../../protocols/mycelium/signed-request.ts';
import { encodeSnapshotRequest } from '../../../protocols/mycelium/snapshot-request.ts';
import { readSnapshotSequence } from '../../../protocols/mycelium/snapshot-sequence.ts';
import { base64url } from '../../../protocols/wire/bytes.ts';
import { checkpointedNode } from '../../support/checkpointed-node.ts';
import { befriend, registerHere, startNode, TEST_KEY, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';
import { waitFor } from '../../support/wait.ts';

const never = new AbortController().signal;
const LISTINGS = 200;

/** The first event that a stream resumes with. */
async function firstEvent(node: TestNode, headers: Record<string, string>): Promise<string> {
  const stop = new AbortController();
  const answer = await node.app.request('/events?types=federation.checkpoint', {
    headers: { ...headers, 'last-event-id': '0' },
    signal: stop.signal,
  });
  let text = '';
  for await (const chunk of answer.body ?? new ReadableStream()) {
    text += Buffer.from(chunk).toString();
    if (text.includes('"outcome"')) break;
  }
  stop.abort();
  return text;
}

describe('snapshots between nodes, over libp2p', () => {
  const dirs = ['author', 'holder', 'newcomer', 'stranger'].map((name) => tempDir(`snapshot-${name}`));
  let author: TestNode;
  let holder: TestNode;
  let newcomer: TestNode;
  let checkpoint: Checkpoint;

  beforeAll(async () => {
    const [a = '', b = '', c = ''] = dirs.map(({ path }) => path);
    author = await checkpointedNode(a, nodeOf(1), { listings: LISTINGS });
    holder = await startNode(b, {}, nodeOf(2));
    newcomer = await startNode(c, {}, nodeOf(3));
    await befriend(author, holder);
    await holder.node.host.libp2p.dial(multiaddr(author.addresses[0] ?? ''));
    await waitFor('the holder has all of it', async () =>
      // The checkpoint is in no digest.
      (await (await holder.request('GET', '/checkpoints')).text()).includes(nodeOf(1).peerId),
    );
  });
  afterAll(async () => {
    for (const each of [author, holder, newcomer]) await each.stop();
    for (const each of dirs) each.remove();
  });

  it('a newcomer that follows nobody finds no checkpoint', async () => {
    expect(await newcomer.snapshots.effective(nodeOf(1).peerId, never)).toBeUndefined();
  });

  it('finds the checkpoint at whoever holds it, and fetches its snapshot', async () => {
    await befriend(newcomer, holder);
    await newcomer.node.host.libp2p.dial(multiaddr(holder.addresses[0] ?? ''));
    checkpoint = await waitFor('it is found', () =>
      newcomer.snapshots.effective(nodeOf(1).peerId, never).catch(() => undefined),
    );
    const snapshot = await newcomer.snapshots.fetch(checkpoint, never);
    const records = (await Array.fromAsync(snapshot.records())).flat();
    expect(records.filter(({ key }) => key?.startsWith('listings/')).length).toBe(LISTINGS);
    expect(snapshot.erased).toBe(0);
  });

  it('strangers get nothing', async () => {
    const stranger = await startNode(dirs[3]?.path ?? '', {}, nodeOf(4));
    try {
      // It takes the holder for registered; the holder knows nothing of it.
      await registerHere(stranger, nodeOf(2).peerId);
      await stranger.node.host.libp2p.dial(multiaddr(holder.addresses[0] ?? ''));
      const found = await stranger.snapshots.effective(nodeOf(1).peerId, never).then(String, errorCode);
      expect(found).toBe('snapshot-unavailable');
      const end = await stranger.snapshots.fetch(checkpoint, never).then(String, errorCode);
      expect(end).toBe('snapshot-unavailable');
    } finally {
      await stranger.stop();
    }
  });

  it('the operator sees them on the page, and as events', async () => {
    expect(await (await author.request('GET', '/status-page')).text()).toContain('● made here');
    expect(await (await holder.request('GET', '/status-page')).text()).toMatch(
      /<h2>Checkpoints[^]*verified yet/,
    );
    expect(await (await holder.app.request('/status-page')).text()).not.toContain('<h2>Checkpoints');
    const told = await firstEvent(author, { 'x-api-key': TEST_KEY });
    expect(told).toMatch(/event: federation.checkpoint\ndata: .*"outcome":"made"/);
    expect(told).toContain(checkpoint.id);
  });

  it('the route gives the same, to whoever may read', async () => {
    const path = (request?: string): string =>
      `/federation/snapshots/${nodeOf(1).peerId}${request === undefined ? '' : `?request=${request}`}`;
    const read = async (url: string, isSigned = true): Promise<number | Uint8Array[]> => {
      const header = signRequest(nodeOf(2), {
        net: 'test',
        receiver: nodeOf(1).peerId,
        method: 'GET',
        path: url,
        time: Date.now(),
        nonce: randomBytes(16),
      });
      const answer = await author.app.request(url, isSigned ? { headers: { [REQUEST_HEADER]: header } } : {});
      if (answer.status !== 200) return answer.status;
      expect(answer.headers.get('content-type')).toBe('application/cbor-seq');
      return Array.fromAsync(readSnapshotSequence(answer.body ?? new ReadableStream()));
    };
    expect(await read(path())).toEqual([checkpoint.signed]);
    const named = { author: checkpoint.author, checkpoint: checkpoint.id, list: 'records' } as const;
    const asked = (request: Parameters<typeof encodeSnapshotRequest>[0]): Promise<number | Uint8Array[]> =>
      read(path(base64url(encodeSnapshotRequest(request))));
    expect(await asked({ kind: 'hashes', ...named })).toHaveLength(1);
    expect(await asked({ kind: 'chunks', ...named, first: 0, last: 63 })).not.toHaveLength(0);
    expect(await asked({ kind: 'hashes', ...named, checkpoint: '11'.repeat(32) })).toBe(404);
    expect(await asked({ kind: 'checkpoints', author: nodeOf(7).peerId })).toBe(400);
    expect(await read(`/federation/snapshots/${nodeOf(7).peerId}`)).toBe(404);
    expect(await read('/federation/snapshots/nobody')).toBe(404);
    expect(await read(path('%%%'))).toBe(400);
    // Nobody has it made whom nobody knows; what costs nothing is shown.
    expect(await read(path(), false)).toEqual([checkpoint.signed]);
    const hashes = base64url(encodeSnapshotRequest({ kind: 'hashes', ...named }));
    expect(await read(path(hashes), false)).toBe(503);
  });
});
