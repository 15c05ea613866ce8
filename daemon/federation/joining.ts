import { z } from 'zod';
import type { RegisterRequest } from '../../api/ports/registration.ts';
import type { Env } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { SCHEMA_VERSION } from '../../protocols/open-dialog/schema.ts';
import type { Nonces } from '../../protocols/registry/nonces.ts';
import type { RegisteredNode, Registry } from '../../protocols/registry/registry.ts';
import {
  openStatement,
  type RegistrationStatement,
  sealStatement,
} from '../../protocols/registry/statement.ts';
import { openWithdrawal, sealWithdrawal } from '../../protocols/registry/withdrawal.ts';
import type { AddressPolicy } from '../../protocols/wire/address-policy.ts';
import { base64url, fromBase64url, hex } from '../../protocols/wire/bytes.ts';
import type { Identity, PeerId } from '../../protocols/wire/identity.ts';
import { tell, type Trust } from './ask-node.ts';
import type { Challenge } from './challenge.ts';
import type { GuardedFetch } from './guarded-fetch.ts';
import { baseUrl, urlFor } from './node-url.ts';

const registerAnswer = z.object({
  statement: z.string().max(16_384),
  status: z.enum(['active', 'pending']).catch('active'),
});

/** Challenges under way for registrations: each holds a connection to an address that somebody named. */
const CHALLENGES = 8;
/** Registrations by the operator's hand that wait for the one before them. */
const BY_HAND = 16;

/** What this node says of itself. */
export interface OwnAddress {
  readonly publicUrl: string | undefined;
  /** Where the API listens, as a URL. */
  readonly listening: string;
  readonly region: string;
  readonly name: string;
  readonly multiaddrs: readonly string[];
  readonly tlsFingerprint: string;
}

export interface JoiningParts {
  readonly identity: Identity;
  readonly network: string;
  readonly registry: Registry;
  readonly nonces: Nonces;
  readonly fetch: GuardedFetch;
  readonly challenge: Challenge;
  readonly policy: AddressPolicy;
  readonly own: () => OwnAddress;
  readonly contactEmail: string | undefined;
  readonly env: Pick<Env, 'bytes'>;
  readonly now: () => number;
  readonly log: (message: string, fields: Record<string, unknown>) => void;
}

interface Accepted {
  readonly node: RegisteredNode;
  /** It was not active before. */
  readonly created: boolean;
  readonly statement: string;
}

/** Signed registration from both ends: `join` asks another node, `accept` answers one. Both register one another, or neither. */
export interface Joining {
  join(url: string, key: string): Promise<RegisteredNode>;
  /** The answer's statement is this node's own. */
  accept(request: RegisterRequest & { readonly statement: string }): Promise<Accepted>;
  withdraw(withdrawal: string): Promise<void>;
}

export function createJoining(parts: JoiningParts): Joining {
  const { identity, network, registry, nonces, fetch, challenge, policy, env, now } = parts;
  let challenges = 0;
  let byHand = 0;
  let hand: Promise<unknown> = Promise.resolve();

  function statementFor(receiver: PeerId, nonce: string, nodeUrl: string): RegistrationStatement {
    const { region, name, multiaddrs, tlsFingerprint } = parts.own();
    return {
      caller: identity.peerId,
      receiver,
      nodeUrl,
      region,
      name,
      multiaddrs: multiaddrs.slice(0, 16),
      schemaVersion: SCHEMA_VERSION,
      time: now(),
      nonce,
      tlsFingerprint,
    };
  }

  /** Their side stands and ours does not: they are told, so that it is neither. */
  async function takeBack(url: string, receiver: PeerId, trust: Trust): Promise<void> {
    const nonce = hex(env.bytes(16));
    const statement = base64url(sealWithdrawal(identity, network, { receiver, time: now(), nonce }));
    try {
      await tell(fetch, `${url}/federation/node/withdraw`, { statement }, undefined, trust);
    } catch (error) {
      parts.log('a registration could not be taken back; suspend this node there', { err: error, url });
    }
  }

  /** Whether who registers answers at the URL it signed. */
  async function answersThere(statement: RegistrationStatement, url: string): Promise<void> {
    if (challenges >= CHALLENGES)
      throw new AgrinetError('busy', 'too many registrations at once; try again in a few seconds');
    challenges++;
    try {
      const proven = await challenge(url, statement.caller);
      if (proven.tlsFingerprint !== statement.tlsFingerprint)
        throw new AgrinetError(
          'registration-invalid',
          'registration: another TLS certificate is shown there',
        );
    } finally {
      challenges--;
    }
  }

  /** Takes in a statement that holds; the key is compared once more when it is written, so that of many at once one comes in. */
  async function take(request: RegisterRequest, statement: RegistrationStatement): Promise<Accepted> {
    const { by, key } = request;
    await nonces.use(statement.caller, statement.nonce, now(), by);
    const reachable = statement.nodeUrl !== '';
    const asked = { status: reachable ? ('active' as const) : ('pending' as const), by, key };
    registry.mayRegister(statement.caller, asked);
    const before = registry.get(statement.caller)?.status;
    const nodeUrl = reachable ? baseUrl(statement.nodeUrl, policy) : '';
    if (reachable) await answersThere(statement, nodeUrl);
    const node = await registry.register({ ...statement, nodeUrl }, request.contactEmail, now(), asked);
    if (key === undefined)
      parts.log('registered by the hand of this node’s operator, with its own key', { node: node.peerId });
    const answer = statementFor(statement.caller, statement.nonce, urlFor(nodeUrl, parts.own()));
    return {
      node,
      created: before !== 'active',
      statement: base64url(sealStatement(identity, network, answer)),
    };
  }

  /** No key bounds the operator's hand: it does one registration after the other. */
  async function oneByOne<T>(work: () => Promise<T>): Promise<T> {
    if (byHand >= BY_HAND)
      throw new AgrinetError('busy', 'too many registrations with the operator’s key at once; one at a time');
    byHand++;
    const done = hand.then(work);
    hand = done.catch(() => undefined); // told to whoever asked for it
    try {
      return await done;
    } finally {
      byHand--;
    }
  }

  return {
    async join(url, key) {
      const target = baseUrl(url, policy);
      const their = await challenge(target);
      registry.mayRegister(their.peerId);
      const before = registry.get(their.peerId);
      const trust = their.tlsFingerprint === '' ? {} : { pin: their.tlsFingerprint };
      const nonce = hex(env.bytes(16));
      const asked = statementFor(their.peerId, nonce, urlFor(target, parts.own()));
      const { nodeUrl, region, multiaddrs, time, tlsFingerprint } = asked;
      const body = {
        nodeUrl,
        region,
        contactEmail: parts.contactEmail,
        peerId: identity.peerId,
        multiaddrs,
        time,
        nonce,
        tlsFingerprint,
        statement: base64url(sealStatement(identity, network, asked)),
      };
      const answer = registerAnswer.safeParse(
        await tell(fetch, `${target}/federation/node/register`, body, key, trust),
      );
      if (!answer.success)
        throw new AgrinetError('join-failed', 'the answer is not that of an agrinetd of this version');
      try {
        const statement = openStatement(envelopeOf(answer.data.statement), {
          net: network,
          receiver: identity.peerId,
          now: now(),
        });
        if (statement.caller !== their.peerId || statement.nonce !== nonce)
          throw new AgrinetError('join-failed', 'the answer was not made for this registration');
        const taken = { ...statement, nodeUrl: target, tlsFingerprint: their.tlsFingerprint };
        return await registry.register(taken, undefined, now(), { status: answer.data.status });
      } catch (error) {
        if (before?.status !== 'active') await takeBack(target, their.peerId, trust);
        throw error;
      }
    },

    async accept(request) {
      const statement = openStatement(envelopeOf(request.statement), {
        net: network,
        receiver: identity.peerId,
        now: now(),
      });
      agree(request, statement);
      return request.key === undefined ? oneByOne(() => take(request, statement)) : take(request, statement);
    },

    async withdraw(withdrawal) {
      const { caller, nonce } = openWithdrawal(envelopeOf(withdrawal), {
        net: network,
        receiver: identity.peerId,
        now: now(),
      });
      // A stranger's withdrawal changes nothing, and must not fill the table of nonces.
      if (registry.get(caller) === undefined) return;
      await nonces.use(caller, nonce, now());
      await registry.withdraw(caller);
    },
  };
}

/** Throws `registration-invalid`. */
function envelopeOf(text: string): Uint8Array {
  const bytes = fromBase64url(text);
  if (bytes === undefined) throw new AgrinetError('registration-invalid', 'registration: not base64url');
  return bytes;
}

/** The plain fields repeat what is signed. Throws `registration-invalid`. */
function agree(request: RegisterRequest, statement: RegistrationStatement): void {
  const { nodeUrl, region, time, nonce, tlsFingerprint, caller: peerId } = statement;
  const signed: Readonly<Record<string, unknown>> = { nodeUrl, region, time, nonce, tlsFingerprint, peerId };
  const wrong = Object.entries(request).find(
    ([field, value]) => value !== undefined && field in signed && signed[field] !== value,
  )?.[0];
  const multiaddrs = request.multiaddrs?.join(',') ?? statement.multiaddrs.join(',');
  const what = wrong ?? (multiaddrs === statement.multiaddrs.join(',') ? undefined : 'multiaddrs');
  if (what !== undefined)
    throw new AgrinetError('registration-invalid', `registration: ${what} is not what the statement signs`);
}
