import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { REGISTRATION_ENVELOPE, signRegistration } from '../../protocols/registry/statement.ts';
import type { RegistrationStatement } from '../../protocols/registry/statement.ts';
import { encodeCbor } from '../../protocols/wire/cbor.ts';
import { signEnvelope } from '../../protocols/wire/envelope.ts';
import { type Identity, identityFromSeed, parsePeerId } from '../../protocols/wire/identity.ts';
import { agrinetHere } from '../support/cli.ts';
import { freePort } from '../support/daemon.ts';
import { Federation, type Member } from '../support/federation.ts';
import { serve } from '../support/loopback-server.ts';

const WINDOW_MS = 5 * 60 * 1000;

interface Answer {
  readonly status: number;
  readonly code: string | undefined;
}

describe('registration', () => {
  const federation = new Federation();
  const caller = identityFromSeed(randomBytes(32));
  let receiver: Member;
  let network = '';

  beforeAll(async () => {
    receiver = await federation.add();
    await federation.add();
    network = (await receiver.json<{ network: string }>('GET', '/federation/identity')).network;
  });
  afterAll(() => federation.close());

  function statement(changes: Partial<RegistrationStatement> = {}): RegistrationStatement {
    const peerId = parsePeerId(receiver.peerId);
    if (peerId === undefined) throw new Error('no peer id');
    return {
      caller: caller.peerId,
      receiver: peerId,
      nodeUrl: '',
      region: 'Coast',
      name: 'caller',
      multiaddrs: [],
      schemaVersion: 1,
      time: Date.now(),
      nonce: randomBytes(16).toString('hex'),
      tlsFingerprint: '',
      ...changes,
    };
  }

  async function register(bytes: Uint8Array, key: string | undefined = receiver.apiKey): Promise<Answer> {
    const response = await fetch(`${receiver.url}/federation/node/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(key === '' ? {} : { 'x-api-key': key }) },
      body: JSON.stringify({ statement: Buffer.from(bytes).toString('base64url') }),
    });
    const { code } = (await response.json()) as { code?: string };
    return { status: response.status, code };
  }

  const nodes = async (): Promise<unknown[]> =>
    (await receiver.json<{ nodes: unknown[] }>('GET', '/federation/nodes')).nodes;

  async function expectRefused(
    bytes: Uint8Array,
    expected: Answer,
    key: string | undefined = receiver.apiKey,
  ): Promise<void> {
    expect(await register(bytes, key)).toEqual(expected);
    expect(await nodes()).toEqual([]);
  }

  const invalid = { status: 400, code: 'registration-invalid' };

  it('is refused without a key and with a wrong one, however well it is signed', async () => {
    const bytes = signRegistration(caller, network, statement());
    await expectRefused(bytes, { status: 403, code: 'unauthorized' }, '');
    await expectRefused(bytes, { status: 403, code: 'unauthorized' }, 'not-the-key-of-that-node');
  });

  it('is refused when somebody else has signed it', async () => {
    const other: Identity = identityFromSeed(randomBytes(32));
    await expectRefused(signRegistration(other, network, statement()), invalid);
  });

  it('is refused when a byte of it was changed', async () => {
    const bytes = signRegistration(caller, network, statement());
    const at = Math.floor(bytes.length / 2);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    await expectRefused(bytes, invalid);
  });

  it('is refused when the signature was made for another purpose', async () => {
    const type = { ...REGISTRATION_ENVELOPE, domain: 'agrinet-entry' };
    const { nonce, ...rest } = statement();
    const payload = encodeCbor({
      v: 1,
      net: network,
      ...rest,
      multiaddrs: [],
      nonce: new Uint8Array(Buffer.from(nonce, 'hex')),
    });
    await expectRefused(signEnvelope(caller, type, payload), invalid);
    // The same payload under the right domain would have been taken: only the purpose was wrong.
  });

  it('is refused when it was made for another network, receiver or time', async () => {
    await expectRefused(signRegistration(caller, 'another', statement()), invalid);
    const elsewhere = identityFromSeed(randomBytes(32)).peerId;
    await expectRefused(signRegistration(caller, network, statement({ receiver: elsewhere })), invalid);
    for (const ms of [-WINDOW_MS - 5000, WINDOW_MS + 5000])
      await expectRefused(signRegistration(caller, network, statement({ time: Date.now() + ms })), invalid);
  });

  it('is refused when at the claimed URL nobody answers, or somebody else', async () => {
    const absent = statement({ nodeUrl: `http://127.0.0.1:${await freePort()}` });
    await expectRefused(signRegistration(caller, network, absent), { status: 502, code: 'peer-unreachable' });
    const other = statement({ nodeUrl: federation.members[1]?.url ?? '' });
    await expectRefused(signRegistration(caller, network, other), { status: 502, code: 'proof-invalid' });
  });

  it('is taken when all of it is right, and not a second time', async () => {
    const bytes = signRegistration(caller, network, statement());
    // Without a URL to be asked at, it waits for the operator.
    expect((await register(bytes)).status).toBe(202);
    expect(await nodes()).toMatchObject([{ peerId: caller.peerId, status: 'pending', region: 'Coast' }]);
    expect(await register(bytes)).toEqual({ status: 409, code: 'registration-replayed' });
    const approved = await agrinetHere(receiver, ['nodes', 'approve', caller.peerId]);
    expect(approved).toMatchObject({ code: 0, stdout: `${caller.peerId}: active\n` });
  });

  it('registers neither side when the join is refused', async () => {
    const joiner = federation.members[1];
    if (joiner === undefined) throw new Error('no joiner');
    const refused = await agrinetHere(joiner, ['join', receiver.url, '--key', 'not-the-key-of-that-node']);
    expect(refused.code).toBe(75);
    expect(refused.stderr).toContain('the other node refused the API key; ask its operator for a new one');
    expect((await joiner.json<{ nodes: unknown[] }>('GET', '/federation/nodes')).nodes).toEqual([]);
    expect(await nodes()).toHaveLength(1);

    const stranger = await federation.add({ MYCELIUM_NETWORK: 'quite-another', MYCELIUM_PEERS: '' });
    const elsewhere = await agrinetHere(stranger, ['join', receiver.url, '--key', receiver.apiKey]);
    expect(elsewhere.code).toBe(75);
    expect(elsewhere.stderr).toContain(`is on the network ${network.slice(0, 32)}`);
    expect(await nodes()).toHaveLength(1);

    const done = await agrinetHere(joiner, ['join', receiver.url, '--key', receiver.apiKey]);
    expect({ code: done.code, stdout: done.stdout }).toEqual({
      code: 0,
      stdout: `Joined ${receiver.peerId} (unspecified): active\n`,
    });
    expect(await nodes()).toHaveLength(2);
  });

  it('waits for the operator after the guide’s plain curl, and becomes HTTP-only without an identity', async () => {
    const old = await serve((_, outgoing) => outgoing.writeHead(404).end('Cannot GET'));
    try {
      const body = { nodeUrl: old.url, region: 'West Africa', contactEmail: 'ops@node.org' };
      const answer = await receiver.request('POST', '/federation/node/register', body);
      expect(answer.status).toBe(202);
      const id = `legacy:${old.url}`;
      expect(await answer.json()).toMatchObject({ nodeId: id, status: 'pending' });
      expect(old.connections()).toBe(0);
      const approved = await agrinetHere(receiver, ['nodes', 'approve', id]);
      expect(approved).toMatchObject({ code: 0, stdout: `${id}: active\n` });
      const listed = await agrinetHere(receiver, ['nodes']);
      expect(listed.stdout).toContain('HTTP only');
      expect(JSON.stringify(await nodes())).not.toContain('ops@node.org');
      const revoked = await agrinetHere(receiver, ['nodes', 'revoke', id, '--json']);
      expect(JSON.parse(revoked.stdout)).toMatchObject({ nodeId: id, status: 'revoked' });
    } finally {
      await old.close();
    }
  });
});
