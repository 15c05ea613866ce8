import { z } from 'zod';
import type { Env } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import type { RegisteredNode, Registry } from '../../protocols/registry/registry.ts';
import { verifyRegistration, type RegistrationStatement } from '../../protocols/registry/statement.ts';
import { signWithdrawal } from '../../protocols/registry/withdrawal.ts';
import type { AddressPolicy } from '../../protocols/wire/address-policy.ts';
import { base64url, hex } from '../../protocols/wire/bytes.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import { tell, type Trust } from './ask-node.ts';
import type { Challenge, Proven } from './challenge.ts';
import type { GuardedFetch } from './guarded-fetch.ts';
import { baseUrl } from './node-url.ts';
import { envelopeOf, ownStatement, type StatementParts } from './own-statement.ts';

const registerAnswer = z.object({
  statement: z.string().max(16_384),
  status: z.enum(['active', 'pending']).catch('active'),
});

export interface JoiningParts extends StatementParts {
  readonly registry: Registry;
  readonly fetch: GuardedFetch;
  readonly challenge: Challenge;
  readonly policy: AddressPolicy;
  readonly contactEmail: string | undefined;
  readonly env: Pick<Env, 'bytes'>;
  readonly log: (message: string, fields: Record<string, unknown>) => void;
}

/** Registers this node with another by a key of that one. Both register one another, or neither. */
export type Join = (url: string, key: string) => Promise<RegisteredNode>;

export function createJoin(parts: JoiningParts): Join {
  const { registry, challenge, policy, now } = parts;
  return async (url, key) => {
    const target = baseUrl(url, policy);
    const their = await challenge(target);
    registry.mayRegister(their.peerId);
    const before = registry.get(their.peerId);
    const { nonce, answer } = await askToRegister(parts, target, their, key);
    try {
      const statement = answeredStatement(parts, answer.statement, their.peerId, nonce);
      const taken = { ...statement, nodeUrl: target, tlsFingerprint: their.tlsFingerprint };
      return await registry.register(taken, undefined, now(), { status: answer.status });
    } catch (error) {
      if (before?.status !== 'active') await takeBack(parts, target, their);
      throw error;
    }
  };
}

function trustIn({ tlsFingerprint }: Proven): Trust {
  return tlsFingerprint === '' ? {} : { pin: tlsFingerprint };
}

async function askToRegister(parts: JoiningParts, target: string, their: Proven, key: string) {
  const nonce = hex(parts.env.bytes(16));
  const { plain, signed } = ownStatement(parts, their.peerId, target, nonce);
  const { nodeUrl, region, caller: peerId, multiaddrs, time, tlsFingerprint } = plain;
  const repeated = { nodeUrl, region, peerId, multiaddrs, time, nonce, tlsFingerprint };
  const body = { ...repeated, contactEmail: parts.contactEmail, statement: signed };
  const answer = registerAnswer.safeParse(
    await tell(parts.fetch, `${target}/federation/node/register`, body, key, trustIn(their)),
  );
  if (!answer.success)
    throw new AgrinetError(
      'join-failed',
      'the other node sent an unexpected response; check that it runs an agrinetd of this version',
    );
  return { nonce, answer: answer.data };
}

function answeredStatement(
  { network, identity, now }: StatementParts,
  text: string,
  caller: PeerId,
  nonce: string,
): RegistrationStatement {
  const statement = verifyRegistration(envelopeOf(text), {
    net: network,
    receiver: identity.peerId,
    now: now(),
  });
  if (statement.caller !== caller || statement.nonce !== nonce)
    throw new AgrinetError('join-failed', 'the other node answered for a different registration; try again');
  return statement;
}

/** Their side is registered and ours is not: they are notified, so that neither is. */
async function takeBack(parts: JoiningParts, url: string, their: Proven): Promise<void> {
  const { identity, network, fetch, env, now } = parts;
  const withdrawal = { receiver: their.peerId, time: now(), nonce: hex(env.bytes(16)) };
  const statement = base64url(signWithdrawal(identity, network, withdrawal));
  try {
    await tell(fetch, `${url}/federation/node/withdraw`, { statement }, undefined, trustIn(their));
  } catch (error) {
    parts.log('a registration could not be taken back; suspend this node there', { err: error, url });
  }
}
