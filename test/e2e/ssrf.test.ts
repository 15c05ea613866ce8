import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Resolve } from '../../daemon/checked-lookup.ts';
import { createGuardedFetch, type GuardedFetch } from '../../daemon/federation/guarded-fetch.ts';
import { systemEnv } from '../../daemon/system-env.ts';
import { type PeerUrlsParts, startPeerUrls } from '../../daemon/peer-urls.ts';
import { errorCode } from '../../protocols/errors.ts';
import { signRegistration } from '../../protocols/registry/statement.ts';
import { base64url } from '../../protocols/wire/bytes.ts';
import { identityFromSeed } from '../../protocols/wire/identity.ts';
import { serve } from '../support/loopback-server.ts';
import { type RegistrationNode, registrationNode } from '../support/registration-node.ts';

/** A server on loopback that nobody must reach: it counts who connects. */
const canary = createServer((socket) => socket.destroy());
let connections = 0;
let port = 0;

/** Hosts that lead to this machine, to private networks or nowhere, in all the ways they can be written. */
const HOSTS = [
  '127.0.0.1',
  '127.0.0.1.',
  '127.1',
  '127.0.1',
  '127.255.255.254',
  '2130706433',
  '0x7f000001',
  '0x7f.0.0.1',
  '0x7f.1',
  '0177.0.0.1',
  '017700000001',
  '%31%32%37.0.0.1',
  '１２７.0.0.1',
  '127。0。0。1',
  '0',
  '0.0.0.0',
  '[::1]',
  '[0:0:0:0:0:0:0:1]',
  '[::]',
  '[::ffff:127.0.0.1]',
  '[::ffff:7f00:1]',
  '[::127.0.0.1]',
  '[64:ff9b::127.0.0.1]',
  '[64:ff9b:1::7f00:1]',
  '[2002:7f00:1::1]',
  '[2001:0:7f00:1::1]',
  '[fe80::1]',
  '[fc00::1]',
  '[fd12:3456::1]',
  '[ff02::1]',
  '[2001:db8::1]',
  '10.0.0.1',
  '10.255.0.1',
  '0xa000001',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.1.1',
  '3232235777',
  '100.64.0.1',
  '169.254.169.254',
  '0xa9fea9fe',
  '[::ffff:169.254.169.254]',
  '192.0.0.8',
  '192.0.2.1',
  '198.18.0.1',
  '224.0.0.1',
  '255.255.255.255',
  'localhost',
  'LOCALHOST',
  'localhost.',
  'a.localhost',
  // What these names lead to is not for ever: see `resolve`.
  'loopback.test',
  'mapped.test',
  'mixed.test',
  'metadata.test',
  'changing.test',
  'nothing.test',
];
const NAMES: Readonly<Record<string, readonly string[][]>> = {
  'mapped.test': [['::ffff:127.0.0.1']],
  'mixed.test': [['93.184.215.14', '127.0.0.1']],
  'metadata.test': [['169.254.169.254'], ['fe80::1%lo']],
  'changing.test': [['10.0.0.1'], ['127.0.0.1'], ['::1'], ['127.0.0.1', '::1']],
  'nothing.test': [[], ['127.0.0.1']],
};

let lookups = 0;
const resolve: Resolve = (name, _, done) => {
  const answers = NAMES[name.replace(/\.$/, '')] ?? [['127.0.0.1', '::1']];
  const addresses = answers[lookups++ % answers.length] ?? [];
  done(
    null,
    addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
  );
};

function urls(): string[] {
  const all = HOSTS.flatMap((host) => [
    `http://${host}:${port}`,
    `https://${host}:${port}`,
    `http://user:pass@${host}:${port}/`,
    `https://node.example.org@${host}:${port}/x`,
  ]);
  const odd = ['gopher', 'ftp', 'ws', 'file', 'javascript', 'HTTP+unix'].map(
    (scheme) => `${scheme}://127.0.0.1:${port}/`,
  );
  return [...all, ...odd, `//127.0.0.1:${port}`, `http:127.0.0.1:${port}`, `http:\\\\127.0.0.1:${port}`];
}

/** Every way in which a request or a peer can name an address. */
async function tryAll(node: RegistrationNode, fetch: GuardedFetch, url: string): Promise<void> {
  const caller = identityFromSeed(randomBytes(32));
  const said = { region: 'x', name: '', multiaddrs: [], schemaVersion: 1, tlsFingerprint: '' };
  const statement = base64url(
    signRegistration(caller, 'test', {
      ...said,
      caller: caller.peerId,
      receiver: node.identity.peerId,
      nodeUrl: url,
      time: Date.now(),
      nonce: randomBytes(16).toString('hex'),
    }),
  );
  const register = '/federation/node/register';
  const answers = [
    await node.request('POST', register, { nodeUrl: url, region: 'x', statement }, 'register'),
    await node.request('POST', '/federation/join', { url, key: 'k' }),
    await node.request('POST', '/federation/nodes', { url }),
  ];
  for (const answer of answers) {
    const { code } = (await answer.json()) as { code: string };
    expect(['address-refused', 'peer-unreachable', 'registry-full'], url).toContain(code);
  }
  // With a key alone it waits; then the operator approves what looks like a name.
  const plain = await node.request('POST', register, { nodeUrl: url, region: 'x' }, 'register');
  if (plain.status < 300) {
    const { nodeId } = (await plain.json()) as { nodeId: string };
    const path = `/federation/nodes/${encodeURIComponent(nodeId)}`;
    expect((await node.request('POST', `${path}/approve`)).status, url).toBeGreaterThanOrEqual(400);
    await node.httpNodes.remove(nodeId);
  }
  // A pull of a source whose name leads elsewhere by now.
  const pulled = await fetch(`${url}/federation/export`, { timeoutMs: 2000, maxBytes: 100 }).catch(errorCode);
  expect(['address-refused', 'peer-unreachable'], url).toContain(pulled);
}

/** What the peer URLs' first round comes to, for all of them. */
function askPeerUrls(list: readonly string[], fetch: GuardedFetch): Promise<string[]> {
  return new Promise((done) => {
    const codes: string[] = [];
    const warn = (fields: { code?: string }): void => {
      codes.push(fields.code ?? '');
      if (codes.length < list.length) return;
      stop();
      done(codes);
    };
    const stop = startPeerUrls({
      urls: list,
      env: systemEnv,
      fetch,
      onFound: () => codes.push('found'),
      logger: { warn } as PeerUrlsParts['logger'],
    });
  });
}

describe('addresses that others can steer', () => {
  let node: RegistrationNode;
  const closed = createGuardedFetch({ env: systemEnv, allowPrivate: false, lookup: resolve });

  beforeAll(async () => {
    canary.on('connection', () => connections++);
    canary.listen(0, '127.0.0.1');
    await once(canary, 'listening');
    ({ port } = canary.address() as AddressInfo);
    node = await registrationNode({ allowLoopback: false, lookup: resolve });
  });
  afterAll(async () => {
    await node.close();
    canary.close();
  });

  it('lead nowhere, in 200 ways', async () => {
    const all = urls();
    expect(all.length).toBeGreaterThanOrEqual(200);
    for (const url of all) await tryAll(node, closed, url);
    expect(connections).toBe(0);
    expect(node.registry.list()).toEqual([]);
    expect(node.httpNodes.list().filter((each) => each.status === 'active')).toEqual([]);
  });

  it('lead nowhere in peer URLs', async () => {
    const codes = await askPeerUrls(urls(), closed);
    expect(new Set(codes)).toEqual(new Set(['address-refused', 'peer-unreachable']));
    expect(connections).toBe(0);
  });

  it('lead nowhere by a redirect, even where loopback is allowed', async () => {
    const open = await registrationNode();
    const fetch = createGuardedFetch({ env: systemEnv, allowPrivate: false, allowLoopback: true });
    for (const status of [300, 301, 302, 303, 307, 308]) {
      const location = `http://127.0.0.1:${port}/federation/identity`;
      const redirector = await serve((_, outgoing) => outgoing.writeHead(status, { location }).end());
      const { url } = redirector;
      const answers = [
        await open.request('POST', '/federation/join', { url, key: 'k' }),
        await open.request('POST', '/federation/nodes', { url }),
      ];
      for (const answer of answers) expect(answer.status).toBeGreaterThanOrEqual(400);
      const pulled = await fetch(`${url}/federation/export`, { timeoutMs: 2000, maxBytes: 100 }).catch(
        errorCode,
      );
      expect(pulled).toBe('peer-redirects');
      expect(await askPeerUrls([url], fetch)).toEqual(['peer-redirects']);
      expect(redirector.connections()).toBe(4);
      await redirector.close();
    }
    await open.close();
    expect(connections).toBe(0);
  });

  it('would have been noticed: the canary counts', async () => {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'close');
    const fetch = createGuardedFetch({ env: systemEnv, allowPrivate: true, lookup: resolve });
    const code = await fetch(`http://loopback.test:${port}`, { timeoutMs: 2000, maxBytes: 100 }).catch(
      errorCode,
    );
    expect(code).toBe('peer-unreachable');
    expect(connections).toBeGreaterThanOrEqual(2);
  });
});
