import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { errorCode } from '../../../protocols/errors.ts';
import { signRegistration, type RegistrationStatement } from '../../../protocols/registry/statement.ts';
import { signWithdrawal } from '../../../protocols/registry/withdrawal.ts';
import { base64url } from '../../../protocols/wire/bytes.ts';
import { type Identity, identityFromSeed } from '../../../protocols/wire/identity.ts';
import { makeCertificate } from '../../support/certificates.ts';
import { type LoopbackServer, serve } from '../../support/loopback-server.ts';
import {
  type RegistrationNode,
  registrationNode,
  type RegistrationNodeOptions,
} from '../../support/registration-node.ts';

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
});

async function node(options: RegistrationNodeOptions = {}): Promise<RegistrationNode> {
  const made = await registrationNode(options);
  open.push(made);
  return made;
}
async function legacy(status = 404): Promise<LoopbackServer> {
  const made = await serve((_, outgoing) => outgoing.writeHead(status).end('Cannot GET'));
  open.push(made);
  return made;
}
const codeOf = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'none',
    (error: unknown) => errorCode(error),
  );

function statement(
  receiver: RegistrationNode,
  caller: Identity,
  changes: Partial<RegistrationStatement>,
): string {
  const said = {
    caller: caller.peerId,
    receiver: receiver.identity.peerId,
    nodeUrl: '',
    region: 'Lake',
    name: '',
    multiaddrs: [],
    schemaVersion: 1,
    time: Date.now(),
    nonce: randomBytes(16).toString('hex'),
    tlsFingerprint: '',
    ...changes,
  };
  return base64url(signRegistration(caller, 'test', said));
}

describe('signed registration', () => {
  it('registers both sides of a join, and once more without harm', async () => {
    const [a, b] = [await node(), await node()];
    expect(await a.port.join(b.url, 'register')).toMatchObject({
      peerId: b.identity.peerId,
      status: 'active',
      url: b.url,
    });
    expect(b.registry.get(a.identity.peerId)).toMatchObject({
      status: 'active',
      url: a.url,
      contactEmail: 'ops@coast.example',
    });
    expect((await a.port.join(b.url, 'register')).status).toBe('active');
  });

  it('asks the claimed URL only when key and signature hold, and takes only who is there', async () => {
    const [a, b] = [await node(), await node()];
    const caller = identityFromSeed(randomBytes(32));
    const body = { statement: statement(b, caller, { nodeUrl: a.url }) };
    expect((await b.request('POST', '/federation/node/register', body, '')).status).toBe(403);
    expect((await b.request('POST', '/federation/node/register', body, 'read')).status).toBe(403);
    const forged = { statement: `${body.statement.slice(0, -4)}AAAA` };
    expect(await codeOf(b.port.register(forged))).toBe('registration-invalid');
    expect(a.server.connections()).toBe(0);
    // The signature holds, but at that URL another node answers.
    expect(await codeOf(b.port.register(body))).toBe('proof-invalid');
    expect(a.server.connections()).toBe(1);
    expect(b.registry.list()).toEqual([]);
  });

  it('refuses plain fields that the statement does not sign', async () => {
    const b = await node();
    const caller = identityFromSeed(randomBytes(32));
    for (const wrong of [
      { nodeUrl: 'https://x.example' },
      { region: 'Hills' },
      { time: 1 },
      { multiaddrs: ['/x'] },
      { peerId: 'x' },
    ])
      expect(await codeOf(b.port.register({ statement: statement(b, caller, {}), ...wrong }))).toBe(
        'registration-invalid',
      );
    expect((await b.port.register({ statement: statement(b, caller, {}), region: 'Lake' })).node.status).toBe(
      'pending',
    );
  });

  it('has one spelling, and a fingerprint that is one', async () => {
    const b = await node();
    const caller = identityFromSeed(randomBytes(32));
    const good = statement(b, caller, {});
    const taken = signWithdrawal(caller, 'test', {
      receiver: b.identity.peerId,
      time: Date.now(),
      nonce: randomBytes(16).toString('hex'),
    });
    for (const spell of [(t: string) => `${t}=`, (t: string) => ` ${t}`, (t: string) => `${t}\n`]) {
      expect(await codeOf(b.port.register({ statement: spell(good) }))).toBe('registration-invalid');
      expect(await codeOf(b.port.withdraw(spell(base64url(taken))))).toBe('registration-invalid');
    }
    for (const tlsFingerprint of ['ab', 'AB'.repeat(32), `${'ab'.repeat(32)}\n`, 'x'.repeat(64)]) {
      const body = { statement: statement(b, caller, { tlsFingerprint }) };
      expect(await codeOf(b.port.register(body)), tlsFingerprint).toBe('registration-invalid');
      const plain = { statement: good, tlsFingerprint };
      expect((await b.request('POST', '/federation/node/register', plain, 'register')).status).toBe(400);
    }
    expect(b.registry.list()).toEqual([]);
    expect((await b.port.register({ statement: good })).created).toBe(true);
  });

  it('keeps nonces over a restart', async () => {
    let b = await node();
    const request = { statement: statement(b, identityFromSeed(randomBytes(32)), {}) };
    await b.port.register(request);
    open.length = 0;
    b = await b.restart();
    open.push(b);
    expect(await codeOf(b.port.register(request))).toBe('registration-replayed');
  });

  it('leaves a node without a URL pending until the operator approves it, and active after that', async () => {
    const b = await node();
    const caller = identityFromSeed(randomBytes(32));
    const register = (): Promise<Response> =>
      b.request('POST', '/federation/node/register', { statement: statement(b, caller, {}) }, 'register');
    expect((await register()).status).toBe(202);
    expect(b.registry.followState(caller.peerId)).toBe('no');
    expect((await b.port.change(caller.peerId, 'approve')).status).toBe('active');
    expect((await register()).status).toBe(201);
    expect(b.registry.get(caller.peerId)?.status).toBe('active');
  });

  it('does not let suspended and revoked nodes back in by themselves', async () => {
    const [a, b] = [await node(), await node()];
    await a.port.join(b.url, 'register');
    for (const [action, back] of [
      ['suspend', 'resume'],
      ['revoke', 'approve'],
    ] as const) {
      await b.port.change(a.identity.peerId, action);
      expect(await codeOf(a.port.join(b.url, 'register'))).toBe('join-failed');
      expect(b.registry.isActive(a.identity.peerId)).toBe(false);
      await b.port.change(a.identity.peerId, back);
    }
    await b.port.change(a.identity.peerId, 'revoke');
    expect(await codeOf(b.port.change(a.identity.peerId, 'resume'))).toBe('node-state');
  });

  it('takes back what the other side registered when the own side fails', async () => {
    const [a, b] = [await node(), await node()];
    let taken = 0;
    Object.assign(a.registry, {
      register: () => {
        taken = b.registry.list().filter((each) => each.status === 'active').length;
        return Promise.reject(new Error('disk full'));
      },
    });
    await expect(a.port.join(b.url, 'register')).rejects.toThrow('disk full');
    expect(taken).toBe(1);
    expect(b.registry.get(a.identity.peerId)?.status).toBe('pending');
    expect(a.registry.list()).toEqual([]);
  });

  it('lets nobody withdraw another', async () => {
    const [a, b] = [await node(), await node()];
    await a.port.join(b.url, 'register');
    const other = identityFromSeed(randomBytes(32));
    const said = { receiver: b.identity.peerId, time: Date.now(), nonce: '00'.repeat(16) };
    await b.port.withdraw(base64url(signWithdrawal(other, 'test', said)));
    expect(b.registry.isActive(a.identity.peerId)).toBe(true);
    const own = base64url(signWithdrawal(a.identity, 'test', said));
    expect((await b.request('POST', '/federation/node/withdraw', { statement: own }, '')).status).toBe(204);
    expect(b.registry.get(a.identity.peerId)?.status).toBe('pending');
  });
});

describe('certificates', () => {
  const [first, second] = [makeCertificate(), makeCertificate()];

  it('are vouched for by the node key, renewed by it, and foreign otherwise', async () => {
    const [a, b] = [await node(), await node({ tls: first })];
    await a.port.join(b.url, 'register');
    const peer = b.identity.peerId;
    expect(a.registry.get(peer)).toMatchObject({ url: b.url, tlsFingerprint: first.fingerprint });

    // Somebody in between shows a certificate of their own and passes the answers on.
    b.server.renew(second);
    expect(await codeOf(a.registration.renewCertificate(peer))).toBe('certificate-foreign');
    expect(a.alarms).toEqual([{ kind: 'foreign-certificate', node: peer }]);
    expect(a.registry.get(peer)?.tlsFingerprint).toBe(first.fingerprint);

    b.own.tlsFingerprint = second.fingerprint;
    expect(await a.registration.renewCertificate(peer)).toBe(second.fingerprint);
    expect(a.registry.get(peer)?.tlsFingerprint).toBe(second.fingerprint);
  });

  it('need a CA when the node does not know its own', async () => {
    const [a, b] = [await node(), await node({ tls: first })];
    b.own.tlsFingerprint = '';
    expect(await codeOf(a.port.join(b.url, 'register'))).toBe('certificate-changed');
    expect(b.registry.list()).toEqual([]);
  });
});

describe('registration with a key alone', () => {
  it('waits for the operator and contacts nobody before', async () => {
    const [b, old] = [await node(), await legacy()];
    const curl = { nodeUrl: `${old.url}/`, region: 'West Africa', contactEmail: 'ops@node.org' };
    expect((await b.request('POST', '/federation/node/register', curl, '')).status).toBe(403);
    const answer = await b.request('POST', '/federation/node/register', curl, 'register');
    expect(answer.status).toBe(202);
    const id = `legacy:${old.url}`;
    expect(await answer.json()).toMatchObject({ nodeId: id, status: 'pending', kind: 'http' });
    expect(old.connections()).toBe(0);

    const path = `/federation/nodes/${encodeURIComponent(id)}`;
    const approved = await b.request('POST', `${path}/approve`);
    expect([approved.status, await approved.json()]).toMatchObject([200, { kind: 'http', status: 'active' }]);
    expect(old.connections()).toBe(1);
    const rows = await (await b.request('GET', '/federation/nodes', undefined, 'read')).text();
    expect(rows).toContain('"region":"West Africa"');
    expect(rows).not.toContain('ops@node.org');
    expect((await b.request('GET', path, undefined, 'register')).status).toBe(403);
    expect(await (await b.request('GET', path)).json()).toMatchObject({ contactEmail: 'ops@node.org' });
    expect((await b.request('POST', '/federation/node/register', curl, 'register')).status).toBe(200);

    await b.port.change(id, 'suspend');
    expect(await codeOf(b.port.register(curl))).toBe('node-suspended');
    expect((await b.port.change(id, 'resume')).status).toBe('active');
  });

  it('makes an agrinetd that proves itself a registered node when approved', async () => {
    const [a, b] = [await node(), await node()];
    const { node: pending } = await b.port.register({ nodeUrl: a.url, region: 'x', contactEmail: 'a@b.c' });
    expect((await b.port.change(pending.id, 'approve')).id).toBe(a.identity.peerId);
    expect(b.httpNodes.list()).toEqual([]);
    expect(b.registry.get(a.identity.peerId)).toMatchObject({ status: 'active', contactEmail: 'a@b.c' });
    expect(a.registry.list()).toEqual([]);
  });

  it('is approved at once when the operator does it, but not while the node is away or broken', async () => {
    const [b, old, broken] = [await node(), await legacy(), await legacy(503)];
    expect(await b.port.add(old.url, 'Lake', undefined)).toMatchObject({ kind: 'http', status: 'active' });
    expect(await codeOf(b.port.add(broken.url, 'Lake', undefined))).toBe('peer-refused');
    const gone = await legacy();
    const { url } = gone;
    await gone.close();
    open.splice(open.indexOf(gone), 1);
    expect(await codeOf(b.port.add(url, 'Lake', undefined))).toBe('peer-unreachable');
    expect(b.httpNodes.get(`legacy:${url}`)?.status).toBe('pending');
    expect(await codeOf(b.port.add(b.url, 'Lake', undefined))).toBe('registration-self');
  });
});

describe('the status route', () => {
  it('answers as the Agrinet status CLI reads it', async () => {
    const [b, old] = [await node(), await legacy()];
    await b.port.add(old.url, 'Lake', undefined);
    const answer = await b.request('GET', '/federation/status', undefined, '');
    expect(await answer.json()).toEqual({
      federationHealth: [
        {
          node: old.url,
          status: 'OFFLINE',
          listings: 0,
          transactions: 0,
          users: 0,
          lastSync: null,
          error: 'not pulled yet',
        },
      ],
    });
  });
});
