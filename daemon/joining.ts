import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { AgrinetError } from '../protocols/errors.ts';
import { SCHEMA_VERSION } from '../protocols/open-dialog/schema.ts';
import type { RegisteredNode, Registry } from '../protocols/registry/registry.ts';
import { openStatement, type RegistrationStatement, sealStatement } from '../protocols/registry/statement.ts';
import { type Identity, parsePeerId, type PeerId } from '../protocols/wire/identity.ts';
import { allowedOrigin, askNode } from './ask-node.ts';

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

  return {
    async join(url, key) {
      const origin = allowedOrigin(url, parts.allowPrivate);
      const their = identityAnswer.parse(
        await askNode(`${origin}/federation/identity`, undefined, undefined),
      );
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
      const answer = registerAnswer.parse(await askNode(`${origin}/federation/node/register`, body, key));
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
