import { randomBytes } from 'node:crypto';
import { multiaddr } from '@multiformats/multiaddr';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadOrCreateIdentity } from '../../daemon/identity-file.ts';
import { systemEnv } from '../../daemon/system-env.ts';
import { errorCode } from '../../protocols/errors.ts';
import { REQUEST_HEADER, signRequest } from '../../protocols/mycelium/signed-request.ts';
import { signRegistration } from '../../protocols/registry/statement.ts';
import { base64url } from '../../protocols/wire/bytes.ts';
import { type Identity, parsePeerId, type PeerId } from '../../protocols/wire/identity.ts';
import { checkpointedNode } from '../support/checkpointed-node.ts';
import { agrinetHere } from '../support/cli.ts';
import { join } from '../support/daemon.ts';
import { Federation, type Member } from '../support/federation.ts';
import { FetchedTable } from '../../storage/fetched-table.ts';
import { registerHere, startNode, type TestNode } from '../support/in-process-node.ts';
import { tempDir } from '../support/temp-dir.ts';
import { nodeOf } from '../support/vectors/signatures.ts';
import { waitFor } from '../support/wait.ts';

const LISTINGS = 300;
const never = new AbortController().signal;

describe('a newcomer at the daemons that hold a checkpoint', () => {
  const network = `test-${randomBytes(6).toString('hex')}`;
  const federation = new Federation();
  const dirs = [tempDir('e2e-author'), tempDir('e2e-newcomer')];
  let author: Member;
  let holder: Member;
  let newcomer: TestNode;

  beforeAll(async () => {
    const env = { MYCELIUM_NETWORK: network };
    const dir = dirs[0]?.path ?? '';
    const before = await checkpointedNode(dir, await loadOrCreateIdentity(dir, systemEnv), {
      listings: LISTINGS,
      env,
    });
    await before.stop();
    author = await federation.start(dir, env);
    holder = await federation.add({ ...env, PUBLIC_READS: 'off' });
    await join(author, holder);
    await waitFor('the holder has the checkpoint', async () =>
      JSON.stringify(await holder.json('GET', '/checkpoints')).includes(author.peerId),
    );
    newcomer = await startNode(dirs[1]?.path ?? '', env, nodeOf(3));
    await registerAt(holder, nodeOf(3), network);
    await registerHere(newcomer, idOf(holder), { nodeUrl: holder.url });
  });
  afterAll(async () => {
    await newcomer.stop();
    await federation.close();
    for (const each of dirs) each.remove();
  });

  /** Fetches it from the holder alone: how many listings came, and how many items that were erased. */
  async function fetched(): Promise<[listings: number, erased: number]> {
    const checkpoint = await waitFor('the checkpoint is found', () =>
      newcomer.snapshots.effective(idOf(author), never).catch(() => undefined),
    );
    const snapshot = await newcomer.snapshots.fetch(checkpoint, never);
    const records = (await Array.fromAsync(snapshot.records())).flat();
    const listings = records.filter(({ key }) => key?.startsWith(`listings/${author.peerId}/`));
    return [listings.length, snapshot.erased];
  }

  it('fetches its snapshot over HTTPS where no stream can be opened', async () => {
    expect(newcomer.node.host.libp2p.getPeers()).toEqual([]);
    expect(await fetched()).toEqual([LISTINGS, 0]);
  });

  it('fetches it over libp2p', async () => {
    // Without an address it cannot be asked over HTTPS any more.
    await registerHere(newcomer, idOf(holder), { nodeUrl: '' });
    await newcomer.node.host.libp2p.dial(multiaddr(holder.multiaddr));
    await new FetchedTable(newcomer.node.db).dropAll(idOf(author));
    expect(await fetched()).toEqual([LISTINGS, 0]);
  });

  it('strangers are refused, and a request is good for its own path alone', async () => {
    const path = `/federation/snapshots/${author.peerId}`;
    const asked = async (url: string, header?: string): Promise<number> =>
      (await fetch(holder.url + url, header === undefined ? {} : { headers: { [REQUEST_HEADER]: header } }))
        .status;
    const signed = (identity: Identity, of = path): string =>
      signRequest(identity, {
        net: network,
        receiver: idOf(holder),
        method: 'GET',
        path: of,
        time: Date.now(),
        nonce: randomBytes(16),
      });
    expect(await asked(path)).toBe(403);
    expect(await asked(path, signed(nodeOf(8)))).toBe(403);
    expect(await asked(`${path}?request=gA`, signed(nodeOf(3)))).toBe(403);
    expect(await asked(path, signed(nodeOf(3)))).toBe(200);
    const stranger = await startNode(tempDir('e2e-stranger').path, { MYCELIUM_NETWORK: network }, nodeOf(8));
    try {
      await registerHere(stranger, idOf(holder), { nodeUrl: holder.url });
      const found = await stranger.snapshots.effective(idOf(author), never).then(String, errorCode);
      expect(found).toBe('snapshot-unavailable');
    } finally {
      await stranger.stop();
    }
  });

  it('the operator sees it on the command line', async () => {
    const { stdout, code } = await agrinetHere(author, ['checkpoint', '--list']);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`${author.peerId}[^]*made here`));
    const there = await agrinetHere(holder, ['checkpoint', '--list']);
    expect(there).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/not yet|verified/) });
  });
});

function idOf({ peerId }: Pick<Member, 'peerId'>): PeerId {
  const id = parsePeerId(peerId);
  if (id === undefined) throw new Error(`${peerId} is no peer id`);
  return id;
}

/** Registers somebody without an address at a daemon, by a signed statement and the operator's approval. */
async function registerAt(daemon: Member, identity: Identity, net: string): Promise<void> {
  const statement = signRegistration(identity, net, {
    caller: identity.peerId,
    receiver: idOf(daemon),
    nodeUrl: '',
    region: '',
    name: 'newcomer',
    multiaddrs: [],
    schemaVersion: 1,
    time: Date.now(),
    nonce: randomBytes(16).toString('hex'),
    tlsFingerprint: '',
  });
  const scopes = { userId: identity.peerId, scopes: ['register'] };
  const { key } = await daemon.json<{ key: string }>('POST', '/api/keys', scopes);
  const answer = await fetch(`${daemon.url}/federation/node/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-api-key': key },
    body: JSON.stringify({ statement: base64url(statement) }),
  });
  if (answer.status !== 202) throw new Error(`registration: ${answer.status} ${await answer.text()}`);
  await daemon.json('POST', `/federation/nodes/${identity.peerId}/approve`, {});
}
