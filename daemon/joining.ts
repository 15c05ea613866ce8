import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { AgrinetError } from '../protocols/errors.ts';
import { SCHEMA_VERSION } from '../protocols/open-dialog/schema.ts';
import type { RegisteredNode, Registry } from '../protocols/registry/registry.ts';
import { openStatement, type RegistrationStatement, sealStatement } from '../protocols/registry/statement.ts';
import { type Identity, parsePeerId, type PeerId } from '../protocols/wire/identity.ts';
import { isPrivateHost } from './addresses.ts';

const TIMEOUT_MS = 10_000;
const MAX_ANSWER = 64 * 1024;

const identityAnswer = z.object({ peerId: z.string(), network: z.string() });
const registerAnswer = z.object({ statement: z.string().max(16_384) });

export interface JoiningParts {
  readonly identity: Identity;
  readonly network: string;
  readonly registry: Registry;
  readonly allowPrivate: boolean;
  /** What this node says of itself. */
  self(): {
    readonly nodeUrl: string;
    readonly region: string;
    readonly name: string;
    readonly multiaddrs: readonly string[];
  };
  readonly contactEmail: string | undefined;
  readonly now: () => number;
}

/** Registration from both ends: `join` asks another node, `accept` answers one. Both sides register one another, or neither. */
export interface Joining {
  join(url: string, key: string): Promise<RegisteredNode>;
  accept(
    statement: Uint8Array,
    contactEmail: string | undefined,
  ): Promise<{ node: RegisteredNode; statement: Uint8Array }>;
}

export function createJoining(parts: JoiningParts): Joining {
  const { identity, network, registry } = parts;

  function statementFor(receiver: PeerId, nonce: string): Uint8Array {
    const statement: RegistrationStatement = {
      caller: identity.peerId,
      receiver,
      ...parts.self(),
      schemaVersion: SCHEMA_VERSION,
      time: parts.now(),
      nonce,
      tlsFingerprint: '',
    };
    return sealStatement(identity, network, statement);
  }

  function originOf(url: string): string {
    let parsed: URL;
    try {
      parsed = new URL(url);
    } catch (error) {
      throw new AgrinetError('fields-invalid', `url: ${url} is not a URL`, { cause: error });
    }
    const { protocol, hostname, username } = parsed;
    if ((protocol !== 'http:' && protocol !== 'https:') || username !== '')
      throw new AgrinetError('fields-invalid', 'url: http(s)://host[:port]');
    if (isPrivateHost(hostname) && !parts.allowPrivate)
      throw new AgrinetError(
        'fields-invalid',
        `url: ${hostname} is a private address; set ALLOW_PRIVATE_PEERS=on to allow it`,
      );
    return parsed.origin;
  }

  return {
    async join(url, key) {
      const origin = originOf(url);
      const their = identityAnswer.parse(await ask(`${origin}/federation/identity`, undefined, undefined));
      const receiver = parsePeerId(their.peerId);
      if (receiver === undefined) throw new AgrinetError('join-failed', `${origin} gave no valid peer id`);
      if (their.network !== network)
        throw new AgrinetError(
          'join-failed',
          `${origin} is on network ${their.network.slice(0, 32)}, this node on ${network}`,
        );
      const nonce = randomBytes(16).toString('hex');
      const body = {
        statement: Buffer.from(statementFor(receiver, nonce)).toString('base64url'),
        contactEmail: parts.contactEmail,
      };
      const answer = registerAnswer.parse(await ask(`${origin}/federation/node/register`, body, key));
      const statement = openStatement(new Uint8Array(Buffer.from(answer.statement, 'base64url')), {
        net: network,
        receiver: identity.peerId,
        now: parts.now(),
      });
      if (statement.caller !== receiver || statement.nonce !== nonce)
        throw new AgrinetError('join-failed', 'the answer was not made for this registration');
      return registry.register(
        { ...statement, nodeUrl: statement.nodeUrl === '' ? origin : statement.nodeUrl },
        undefined,
        parts.now(),
      );
    },
    async accept(bytes, contactEmail) {
      const statement = openStatement(bytes, { net: network, receiver: identity.peerId, now: parts.now() });
      const node = await registry.register(statement, contactEmail, parts.now());
      return { node, statement: statementFor(statement.caller, statement.nonce) };
    },
  };
}

/** One request to a node that the operator named: no redirects, bounded in time and size; its words never come through. */
async function ask(url: string, body: unknown, key: string | undefined): Promise<unknown> {
  let response: Response;
  try {
    response = await fetch(url, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(key === undefined ? {} : { 'x-api-key': key }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (error) {
    throw new AgrinetError('join-failed', `${new URL(url).origin} does not answer`, { cause: error });
  }
  if (response.status === 401 || response.status === 403)
    throw new AgrinetError('join-failed', 'the other node refused the API key');
  if (!response.ok) throw new AgrinetError('join-failed', `the other node answered ${response.status}`);
  const text = await bounded(response);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AgrinetError('join-failed', 'the answer is not JSON; is it an agrinetd?', { cause: error });
  }
}

async function bounded(response: Response): Promise<string> {
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > MAX_ANSWER) throw new AgrinetError('join-failed', 'the answer is too long');
  }
  return text;
}
