import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join as joinPath } from 'node:path';
import { connect, createServer, type Server } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readIdentity } from '../../daemon/identity-file.ts';
import { REQUEST_HEADER, signRequest } from '../../protocols/mycelium/signed-request.ts';
import { parsePeerId } from '../../protocols/wire/identity.ts';
import { type Certificate, makeCertificate } from '../support/certificates.ts';
import { freePort, join } from '../support/daemon.ts';
import { Federation, type Member, sameDigest } from '../support/federation.ts';
import { httpsFetch } from '../support/https-fetch.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait.ts';

const PRICE = {
  date: '2026-01-01',
  market: 'Nairobi',
  category: 'cereals',
  commodity: 'Maize',
  unit: 'KG',
  priceFlag: 'actual',
  priceType: 'Retail',
  currency: 'KES',
  price: 1,
};
/** The daemon looks at its certificate every 5 s. */
const RENEWAL_MS = 15_000;
const SECRET = 'lantern-orchid-77-sacks-under-the-stairs';

interface Node extends Member {
  readonly certFile: string;
  readonly keyFile: string;
}
interface Job {
  readonly id: string;
  readonly state: string;
  readonly error?: { readonly code: string };
  readonly attempts: number;
}

describe('two daemons that reach one another over HTTPS alone', () => {
  const network = `test-${randomBytes(6).toString('hex')}`;
  const federation = new Federation();
  const files = tempDir('https-alone');
  const ends: (() => void)[] = [];
  let a: Node;
  let b: Node;
  let c: Node;
  let contractId = '';

  function present(node: { certFile: string; keyFile: string }, { cert, key }: Certificate): void {
    writeFileSync(node.certFile, cert);
    writeFileSync(node.keyFile, key);
  }

  /** A daemon with a certificate and a swarm key that no other has. */
  async function add(name: string): Promise<Node> {
    const [certFile, keyFile, psk] = ['crt', 'key', 'psk'].map((end) =>
      joinPath(files.path, `${name}.${end}`),
    ) as [string, string, string]; // as many as there are endings
    present({ certFile, keyFile }, makeCertificate());
    writeFileSync(psk, `/key/swarm/psk/1.0.0/\n/base16/\n${randomBytes(32).toString('hex')}\n`);
    const port = String(await freePort());
    const member = await federation.add({
      MYCELIUM_NETWORK: network,
      MYCELIUM_PSK_FILE: psk,
      TLS_CERT_FILE: certFile,
      TLS_KEY_FILE: keyFile,
      PORT: port,
      PUBLIC_URL: `https://127.0.0.1:${port}`,
      SYNC_INTERVAL_MINUTES: '0',
    });
    return { ...member, certFile, keyFile };
  }

  beforeAll(async () => {
    a = await add('a');
    b = await add('b');
    c = await add('c');
    await join(a, b);
    await join(a, c);
  });
  afterAll(async () => {
    for (const end of ends) end();
    await federation.close();
    files.remove();
  });

  /** One pull, up to its first end: done, dead, or failed and to be tried again. */
  async function pull(member: Member, from: Member): Promise<Job> {
    const body = { sourceUrl: from.url };
    const { job } = await member.json<{ job: Job }>('POST', '/federation/pull', body);
    return waitFor('the pull to end', async () => {
      const found = await member.json<Job>('GET', `/jobs/${job.id}`);
      return (found.state === 'completed' || found.error !== undefined) && found;
    });
  }

  /** Both are still not connected: what arrives has come over HTTPS. */
  async function expectApart(): Promise<void> {
    for (const [here, there] of [
      [a, b],
      [b, a],
      [a, c],
      [c, a],
    ] as const)
      expect(await here.json('GET', `/federation/nodes/${there.peerId}`)).toMatchObject({
        status: 'active',
        connected: false,
      });
  }

  it('are active with one another, with fingerprints, and not connected over libp2p', async () => {
    for (const [here, there] of [
      [a, b],
      [b, a],
    ] as const) {
      const { tlsFingerprint } = await there.json<{ tlsFingerprint: string }>('GET', '/federation/identity');
      expect(tlsFingerprint).toMatch(/^[0-9a-f]{64}$/);
      const path = `/federation/nodes/${there.peerId}`;
      expect(await here.json('GET', path)).toMatchObject({ status: 'active', tlsFingerprint });
    }
    await expectApart();
  });

  it('fetch a picture of the other’s listing, by a signed request', async () => {
    const picture = Buffer.from('%PDF-1.4 as good as a picture\n');
    const ask = httpsFetch(a.certFile);
    const headers = { 'x-api-key': a.apiKey, 'content-type': 'application/pdf' };
    const sent = await ask(`${a.url}/attachments`, {
      method: 'POST',
      headers,
      body: picture.toString('latin1'),
    });
    const { sha256 } = (await sent.json()) as { sha256: string };
    const images = [{ sha256, name: 'maize.pdf' }];
    await a.json('PUT', '/listings/pictured', { type: 'offer', title: 'Maize', images });
    await pull(b, a);
    const path = `/attachments/listings/${a.peerId}.pictured/${sha256}`;
    const got = await b.request('GET', path);
    expect([got.status, await got.text()]).toEqual([200, picture.toString()]);
    await expectApart();
    // Whoever signs nothing gets nothing, not even the operator.
    const record = encodeURIComponent(`listings/${a.peerId}/pictured`);
    const unsigned = await a.request('GET', `/federation/attachments/${sha256}?record=${record}`);
    expect([unsigned.status, await unsigned.json()]).toMatchObject([403, { code: 'request-unsigned' }]);
  });

  it('converge on what both have written', async () => {
    for (const [index, member] of [a, b].entries()) {
      for (let i = 0; i < 20; i++)
        await member.json('POST', '/listings', { type: 'offer', title: `Lot ${index}-${i}` });
      await member.json('POST', '/prices', PRICE);
    }
    expect(await a.digest()).not.toBe(await b.digest());
    // The documented cron line, without a key.
    for (const { certFile, url } of [a, b])
      expect((await httpsFetch(certFile)(`${url}/federation/sync`)).status).toBe(202);
    const { owners } = await sameDigest([a, b], 20_000);
    for (const { peerId } of [a, b])
      expect(owners[peerId]?.collections['listings']?.count).toBe(peerId === a.peerId ? 21 : 20);
    await expectApart();
  });

  it('hand on a private contract to its party alone, for signed requests only', async () => {
    const made = await a.json<{ contractId: string }>('POST', '/contracts', {
      commodity: 'Maize',
      buyerId: `u1@${a.peerId}`,
      supplierId: `u2@${b.peerId}`,
      notes: SECRET,
    });
    contractId = encodeURIComponent(made.contractId);
    expect((await pull(b, a)).state).toBe('completed');
    expect(await b.json('GET', `/contracts/${contractId}`)).toMatchObject({ notes: SECRET });
    expect((await pull(c, a)).state, 'c pulls what is public').toBe('completed');
    expect((await c.request('GET', `/contracts/${contractId}`)).status).toBe(404);

    const local = made.contractId.split('.').at(-1) ?? '';
    const channel = `contracts/${a.peerId}/${local}`;
    const path = `/federation/feeds/${a.peerId}?${new URLSearchParams({ channel }).toString()}`;
    const receiver = parsePeerId(a.peerId);
    if (receiver === undefined) throw new Error('a has no peer id');
    const ask = async (signer?: Member): Promise<{ status: number; text: string }> => {
      const identity = signer && (await readIdentity(signer.dir));
      const request = { net: network, receiver, method: 'GET', path, time: Date.now() };
      const headers =
        identity === undefined
          ? undefined
          : { [REQUEST_HEADER]: signRequest(identity, { ...request, nonce: randomBytes(16) }) };
      const answer = await httpsFetch(a.certFile)(a.url + path, headers && { headers });
      return { status: answer.status, text: await answer.text() };
    };
    const party = await ask(b);
    expect(party.status, 'the party').toBe(200);
    expect(party.text).toContain(SECRET);
    for (const [who, signer] of [
      ['a registered node that takes no part', c],
      ['unsigned', undefined],
    ] as const) {
      const refused = await ask(signer);
      expect(refused.status, who).toBe(403);
      expect(refused.text, who).not.toContain(SECRET);
    }
    await expectApart();
  });

  it('go on with a certificate that its owner has renewed', async () => {
    const renewed = makeCertificate();
    present(a, renewed);
    await waitFor(
      'a to take its certificate over',
      async () => {
        const identity = await a.json<{ tlsFingerprint: string }>('GET', '/federation/identity');
        return identity.tlsFingerprint === renewed.fingerprint;
      },
      RENEWAL_MS,
    );
    await a.json('POST', '/listings', { type: 'offer', title: 'After the renewal' });
    expect((await pull(b, a)).state).toBe('completed');
    await sameDigest([a, b], 1000);
    const path = `/federation/nodes/${a.peerId}`;
    expect(await b.json('GET', path)).toMatchObject({ tlsFingerprint: renewed.fingerprint });
    const told = b
      .output()
      .split('\n')
      .find((line) => line.includes('renewed TLS certificate was taken over'));
    expect(told).toContain(renewed.fingerprint);
    expect((await b.json<{ alarms: unknown[] }>('GET', '/ready')).alarms).toEqual([]);
  });

  it('stop at a foreign one with an alarm, and take nothing over it', async () => {
    // Somebody sits at the address of a and passes everything on to it, with a key of their own.
    const port = Number(new URL(a.url).port);
    const behind = await freePort();
    await a.stop();
    const moved = await federation.start(a.dir, {
      MYCELIUM_NETWORK: network,
      MYCELIUM_PSK_FILE: joinPath(files.path, 'a.psk'),
      TLS_CERT_FILE: a.certFile,
      TLS_KEY_FILE: a.keyFile,
      PORT: String(behind),
      PUBLIC_URL: a.url,
      SYNC_INTERVAL_MINUTES: '0',
    });
    const middle = await between(port, behind, makeCertificate());
    ends.push(() => middle.close());
    await moved.json('POST', '/listings', { type: 'offer', title: 'Behind the foreign certificate' });
    const before = await b.digest();
    expect(await pull(b, a)).toMatchObject({ error: { code: 'certificate-foreign' } });
    const { alarms } = await b.json<{ alarms: { kind: string; text: string }[] }>('GET', '/ready');
    expect(alarms.map(({ kind }) => kind)).toEqual(['foreign-certificate']);
    expect(alarms[0]?.text).toContain(a.peerId);
    expect(await b.digest()).toBe(before);
    expect(middle.heard()).toContain('GET /federation/identity');
    expect(middle.heard(), 'a signed request').not.toContain(REQUEST_HEADER);
    expect(middle.heard()).not.toContain('/federation/feeds');

    // The owner is back: nothing needs to be done by hand.
    middle.close();
    await moved.stop();
    const { dir, certFile, keyFile } = a;
    const back = await federation.start(dir, {
      MYCELIUM_NETWORK: network,
      MYCELIUM_PSK_FILE: joinPath(files.path, 'a.psk'),
      TLS_CERT_FILE: certFile,
      TLS_KEY_FILE: keyFile,
      PORT: String(port),
      PUBLIC_URL: a.url,
      SYNC_INTERVAL_MINUTES: '0',
    });
    a = { ...back, certFile, keyFile };
    await waitFor('a pull to go on', async () => (await pull(b, a)).state === 'completed', 60_000);
    await sameDigest([a, b], 5000);
  }, 120_000);
});

/** A TLS server that shows its own certificate and passes everything on to the one behind. `heard` is what clients have sent. */
async function between(
  port: number,
  behind: number,
  { cert, key }: Certificate,
): Promise<{ heard(): string; close(): void }> {
  let heard = '';
  const sockets = new Set<Socket>();
  const server: Server = createServer({ cert, key }, (client) => {
    const owner = connect({ port: behind, host: '127.0.0.1', rejectUnauthorized: false });
    for (const socket of [client, owner]) {
      sockets.add(socket);
      socket.on('error', () => undefined); // the other end is told by its close
      socket.once('close', () => {
        client.destroy();
        owner.destroy();
        sockets.delete(socket);
      });
    }
    client.on('data', (chunk) => (heard += chunk.toString('latin1')));
    client.pipe(owner);
    owner.pipe(client);
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    heard: () => heard,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
