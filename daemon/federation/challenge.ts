import { z } from 'zod';
import type { Env } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { verifyIdentityProof } from '../../protocols/registry/identity-proof.ts';
import { fromBase64url, hex } from '../../protocols/wire/bytes.ts';
import { parsePeerId, type PeerId } from '../../protocols/wire/identity.ts';
import { ask, jsonIn, type Trust } from './ask-node.ts';
import type { GuardedAnswer, GuardedFetch } from './guarded-fetch.ts';
import { samePlace } from './node-url.ts';

const identityAnswer = z.object({
  peerId: z.string(),
  network: z.string(),
  name: z.string().max(512).catch(''),
  region: z.string().max(512).catch('unspecified'),
  schemaVersion: z.number().int().min(1).catch(1),
  multiaddrs: z.array(z.string().max(256)).catch([]),
  proof: z.string().max(8192).optional(),
});

/** What a node has proved about itself, and what it says in addition. */
export interface Proven {
  readonly peerId: PeerId;
  /** Where it was asked. */
  readonly nodeUrl: string;
  /** To be pinned; empty without TLS, or when a CA vouches for the certificate. */
  readonly tlsFingerprint: string;
  readonly identity: {
    readonly name: string;
    readonly region: string;
    readonly schemaVersion: number;
    readonly multiaddrs: readonly string[];
  };
}

/**
 * Asks for the identity at a URL, with a fresh nonce. The answer is signed over the nonce, the URL, the peer id and the certificate
 * of this very connection. Throws `proof-invalid` when it is invalid, `identity-absent` when nothing there could be an agrinetd, and
 * what the guarded fetch throws.
 */
export type Challenge = (url: string, expected?: PeerId, pin?: string) => Promise<Proven>;

export interface ChallengeParts {
  readonly fetch: GuardedFetch;
  readonly network: string;
  readonly env: Pick<Env, 'bytes'>;
  readonly now: () => number;
}

export function createChallenge({ fetch, network, env, now }: ChallengeParts): Challenge {
  async function once(url: string, trust: Trust): Promise<{ signed: string; seen: string; proven: Proven }> {
    const nonce = hex(env.bytes(16));
    const answer = await ask(fetch, `${url}/federation/identity?nonce=${nonce}`, trust);
    const body = await identityOf(url, answer);
    if (body.network !== network)
      throw new AgrinetError(
        'proof-invalid',
        `${url} is on the network ${printable(body.network)}, but this node is on ${network}; check MYCELIUM_NETWORK`,
      );
    if (body.proof === undefined)
      throw new AgrinetError(
        'proof-invalid',
        `${url} does not sign its identity; its agrinetd must be upgraded`,
      );
    const bytes = fromBase64url(body.proof);
    if (bytes === undefined)
      throw new AgrinetError('proof-invalid', `${url}: its identity proof is not base64url`);
    const proof = verifyIdentityProof(bytes, { net: network, nonce, now: now() });
    if (body.peerId !== proof.peerId)
      throw new AgrinetError(
        'proof-invalid',
        `${url} names a peer ID other than that of the key it signs with`,
      );
    if (!samePlace(proof.nodeUrl, url))
      throw new AgrinetError(
        'proof-invalid',
        `the node at ${url} gives another URL as its own; use that one, or correct its PUBLIC_URL`,
      );
    const { name, region, schemaVersion } = body;
    const identity = { name, region, schemaVersion, multiaddrs: body.multiaddrs.slice(0, 16) };
    const { peerId, tlsFingerprint } = proof;
    return {
      signed: tlsFingerprint,
      seen: answer.tlsFingerprint,
      proven: { peerId, nodeUrl: url, tlsFingerprint, identity },
    };
  }

  return async (url, expected, pin) => {
    const trust = pin === undefined || pin === '' ? { anyCertificate: true } : { pin };
    let { signed, seen, proven } = await once(url, trust);
    // A node behind a proxy may not know its certificate: then a CA has to vouch for it.
    if (signed === '' && seen !== '') ({ signed, seen, proven } = await once(url, {}));
    if (signed !== '' && signed !== seen)
      throw new AgrinetError(
        'proof-invalid',
        `${url} presents a TLS certificate that its node key has not signed; check its TLS_CERT_FILE`,
      );
    if (expected !== undefined && proven.peerId !== expected)
      throw new AgrinetError('proof-invalid', `a different node answers at ${url}`);
    return proven;
  };
}

/** An old back end answers 404, or with a page or a refusal of its own. */
async function identityOf(url: string, answer: GuardedAnswer): Promise<z.output<typeof identityAnswer>> {
  if (answer.status >= 500) {
    await answer.bytes().catch(() => undefined); // only so that the connection is closed now
    throw new AgrinetError('peer-refused', `${url} answered with status ${answer.status}; try again later`);
  }
  const parsed = identityAnswer.safeParse(await jsonIn(answer));
  if (answer.status !== 200 || !parsed.success || parsePeerId(parsed.data.peerId) === undefined)
    throw new AgrinetError('identity-absent', `no agrinetd answers at ${url}`);
  return parsed.data;
}

function printable(text: string): string {
  return text.slice(0, 32).replace(/[^a-z0-9-]/g, '?');
}
