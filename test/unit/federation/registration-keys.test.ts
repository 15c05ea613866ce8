import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { errorCode } from '../../../protocols/errors.ts';
import { signIdentityProof } from '../../../protocols/registry/identity-proof.ts';
import { signRegistration } from '../../../protocols/registry/statement.ts';
import { base64url } from '../../../protocols/wire/bytes.ts';
import { type Identity, identityFromSeed } from '../../../protocols/wire/identity.ts';
import { type LoopbackServer, serve } from '../../support/loopback-server.ts';
import { OPERATOR_KEY, type RegistrationNode, registrationNode } from '../../support/registration-node.ts';

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

async function node(): Promise<RegistrationNode> {
  const made = await registrationNode();
  open.push(made);
  return made;
}

/** Who registers: many identities that one server answers for, each under a path of its own. */
interface Callers {
  readonly at: (n: number) => { readonly identity: Identity; readonly url: string };
  /** The most that were asked at once. */
  readonly most: () => number;
}

async function callers(count: number): Promise<Callers> {
  const identities = Array.from({ length: count }, () => identityFromSeed(randomBytes(32)));
  let [now, most] = [0, 0];
  const server: LoopbackServer = await serve((incoming, outgoing) => {
    most = Math.max(most, ++now);
    const [, n = '', nonce = ''] =
      /^\/n(\d+)\/federation\/identity\?nonce=([0-9a-f]{32})$/.exec(incoming.url ?? '') ?? [];
    const identity = identities[Number(n)];
    // In a later turn, so that whoever asks at once is seen to.
    setImmediate(() => {
      now--;
      if (nonce === '' || identity === undefined) return void outgoing.writeHead(404).end();
      const nodeUrl = `${server.url}/n${n}`;
      const proof = signIdentityProof(identity, 'test', {
        nonce,
        nodeUrl,
        tlsFingerprint: '',
        time: Date.now(),
      });
      const { peerId } = identity;
      const answer = {
        peerId,
        network: 'test',
        name: '',
        region: 'x',
        schemaVersion: 1,
        multiaddrs: [],
        nodeUrl,
      };
      outgoing.writeHead(200, { 'content-type': 'application/json' });
      outgoing.end(JSON.stringify({ ...answer, proof: base64url(proof) }));
    });
  });
  open.push(server);
  return {
    at: (n) => {
      const identity = identities[n];
      if (identity === undefined) throw new Error(`only ${count} callers`);
      return { identity, url: `${server.url}/n${n}` };
    },
    most: () => most,
  };
}

interface Answer {
  readonly status: number;
  readonly code: string | undefined;
  readonly message: string | undefined;
}

async function register(
  receiver: RegistrationNode,
  { identity, url }: { readonly identity: Identity; readonly url: string },
  key: string,
): Promise<Answer> {
  const statement = signRegistration(identity, 'test', {
    caller: identity.peerId,
    receiver: receiver.identity.peerId,
    nodeUrl: url,
    region: 'x',
    name: '',
    multiaddrs: [],
    schemaVersion: 1,
    time: Date.now(),
    nonce: randomBytes(16).toString('hex'),
    tlsFingerprint: '',
  });
  return post(receiver, { statement: base64url(statement) }, key);
}

async function post(receiver: RegistrationNode, body: unknown, key: string): Promise<Answer> {
  const answer = await receiver.request('POST', '/federation/node/register', body, key);
  const { code, message } = (await answer.json()) as { code?: string; message?: string };
  return { status: answer.status, code, message };
}

const active = (receiver: RegistrationNode): number =>
  receiver.registry.list().filter(({ status }) => status === 'active').length;
const issue = async (receiver: RegistrationNode, uses?: number) =>
  receiver.keys.issue({ userId: 'second', scopes: ['register'], uses });
const REFUSED = { status: 403, code: 'key-used' };

describe('a registration key', () => {
  it('is for one node: of 40 that come with it at once, one is active, and nobody after it', async () => {
    const [b, many] = [await node(), await callers(41)];
    const { key } = await issue(b);
    const answers = await Promise.all(Array.from({ length: 40 }, (_, n) => register(b, many.at(n), key)));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(active(b)).toBe(1);
    expect(await register(b, many.at(40), key)).toMatchObject(REFUSED);
    expect(b.registry.list()).toHaveLength(1);
  });

  it('serves the node that used it again: pending, approved, withdrawn, and joined once more', async () => {
    const [b, many] = [await node(), await callers(2)];
    const { key } = await issue(b);
    const { identity, url } = many.at(0);
    expect(await register(b, { identity, url: '' }, key)).toMatchObject({ status: 202 });
    expect(await register(b, many.at(1), key)).toMatchObject(REFUSED);
    await b.port.change(identity.peerId, 'approve');
    expect(await register(b, { identity, url }, key)).toMatchObject({ status: 201 });
    await b.registry.withdraw(identity.peerId);
    expect(await register(b, { identity, url }, key)).toMatchObject({ status: 201 });
    expect(await register(b, many.at(1), key)).toMatchObject(REFUSED);
    expect(active(b)).toBe(1);
  });

  it('is for as many nodes as it was issued for', async () => {
    const [b, many] = [await node(), await callers(4)];
    const { key } = await issue(b, 3);
    for (const n of [0, 1, 2]) expect(await register(b, many.at(n), key)).toMatchObject({ status: 201 });
    expect(await register(b, many.at(3), key)).toMatchObject(REFUSED);
    expect(await register(b, many.at(1), key)).toMatchObject({ status: 201 });
    const plain = b.keys.issue({ userId: 'second', scopes: ['write'], uses: 2 });
    expect(await plain.catch(errorCode)).toBe('fields-invalid');
  });

  it('ends when a node that came with it is revoked, with its successors, and its operator does not come back', async () => {
    const [b, many] = [await node(), await callers(4)];
    const { key, id } = await issue(b, 3);
    await register(b, many.at(0), key);
    const { issued } = await b.keys.rotate(id, 3600);
    // A rotation gives back nothing: the successor knows who came with the first key.
    expect(await register(b, many.at(1), issued.key)).toMatchObject({ status: 201 });
    const answer = await b.request('POST', `/federation/nodes/${many.at(0).identity.peerId}/revoke`, {});
    expect(await answer.json()).toMatchObject({ status: 'revoked', message: expect.stringContaining(id) });
    for (const each of [key, issued.key])
      expect(await register(b, many.at(2), each)).toMatchObject({ status: 403, code: 'unauthorized' });
    // The other node that came with it stays.
    expect(active(b)).toBe(1);
    // Also where the keys could not be ended, as after a crash between the two.
    const again = await issue(b, 3);
    const held = { id: again.id, uses: 3 };
    const two = many.at(2);
    await register(b, two, again.key);
    await b.registry.change(two.identity.peerId, 'revoke');
    expect(() => b.registry.mayRegister(many.at(3).identity.peerId, { key: held })).toThrow('was revoked');
    expect(await register(b, many.at(3), again.key)).toMatchObject(REFUSED);
  });

  it('keeps who used it over a restart, and a second key of a node is bound to it as well', async () => {
    const many = await callers(3);
    let b = await node();
    const [first, second] = [await issue(b), await issue(b)];
    for (const { key } of [first, second])
      expect(await register(b, many.at(0), key)).toMatchObject({ status: 201 });
    open.pop();
    b = await b.restart();
    open.push(b);
    for (const { key } of [first, second]) expect(await register(b, many.at(1), key)).toMatchObject(REFUSED);
    await b.port.change(many.at(0).identity.peerId, 'revoke');
    const states = (await b.keys.list({ limit: 10 })).keys.map(({ state }) => state);
    expect(states).toEqual(['revoked', 'revoked']);
  });

  it('is not used up by an unsigned request, only by the node that its operator approves', async () => {
    const [b, many] = [await node(), await callers(3)];
    const { key, id } = await issue(b);
    const curl = (n: number) => post(b, { nodeUrl: many.at(n).url, region: 'x' }, key);
    expect([(await curl(0)).status, (await curl(1)).status]).toEqual([202, 202]);
    expect(await register(b, many.at(2), key)).toMatchObject({ status: 201 });
    // By the operator's hand a second one; revoking it ends the key it asked with.
    expect(await b.port.change(`legacy:${many.at(0).url}`, 'approve')).toMatchObject({ keys: [id] });
    expect(active(b)).toBe(2);
    await b.port.change(many.at(0).identity.peerId, 'revoke');
    expect((await b.keys.list({ limit: 1 })).keys).toMatchObject([{ id, state: 'revoked' }]);
  });

  it('ends with a request that the operator revokes', async () => {
    const [b, many] = [await node(), await callers(1)];
    const { key, id } = await issue(b);
    await post(b, { nodeUrl: many.at(0).url, region: 'x' }, key);
    await b.port.change(`legacy:${many.at(0).url}`, 'revoke');
    expect((await b.keys.list({ limit: 1 })).keys).toMatchObject([{ id, state: 'revoked' }]);
  });
});

describe('the operator’s own key', () => {
  it('registers one node after the other, and says so', async () => {
    const [b, many] = [await node(), await callers(12)];
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, n) => register(b, many.at(n), OPERATOR_KEY)),
    );
    for (const answer of answers)
      expect(answer).toMatchObject({
        status: 201,
        message: expect.stringContaining('registered with the operator’s own key'),
      });
    expect([active(b), many.most()]).toEqual([12, 1]);
    const revoked = await b.request('POST', `/federation/nodes/${many.at(0).identity.peerId}/revoke`, {});
    expect(await revoked.json()).toMatchObject({
      message: expect.stringContaining('there is no registration key to revoke'),
    });
  });
});

it('a bearer token counts as one key of its subject', async () => {
  const [b, many] = [await node(), await callers(2)];
  // `register` stands for a principal without a key of the ring, as tokens make them.
  expect(await register(b, many.at(0), 'register')).toMatchObject({ status: 201 });
  expect(await register(b, many.at(1), 'register')).toMatchObject(REFUSED);
  expect(await register(b, many.at(0), 'register')).toMatchObject({ status: 201 });
});
