import { z } from 'zod';
import type { Env } from '../../protocols/env.ts';
import { verifyIdentityProof } from '../../protocols/registry/identity-proof.ts';
import { fromBase64url } from '../../protocols/wire/bytes.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { GuardedFetch } from '../federation/guarded-fetch.ts';
import { type ClockFact, DOCTOR_LIMITS } from './facts.ts';

const answerSchema = z.object({ proof: z.string().max(8192) });
/** An identity is far below. */
const MAX_BYTES = 64 * 1024;

/** Whom to ask. */
export interface ProbedNode {
  readonly id: PeerId;
  readonly label: string;
  readonly url: string;
  /** Pinned certificate, hex; empty for none. */
  readonly tlsFingerprint: string;
}

export interface ProbeParts {
  readonly fetch: GuardedFetch;
  readonly network: string;
  readonly env: Pick<Env, 'now' | 'monotonic' | 'bytes'>;
}

/**
 * A peer's clock, from the time that it signs over a fresh nonce: nobody in between can alter it, and an old answer does not match.
 * It was signed between request and answer, so the midpoint of the two is off by at most half the round trip. Undefined when it does
 * not answer, or somebody else does: other checks report that.
 */
export async function probeClock(
  { fetch, network, env }: ProbeParts,
  { id, label, url, tlsFingerprint }: ProbedNode,
  signal: AbortSignal,
): Promise<ClockFact | undefined> {
  const nonce = Buffer.from(env.bytes(16)).toString('hex');
  const asked = env.monotonic();
  try {
    const answer = await fetch(`${url}/federation/identity?nonce=${nonce}`, {
      timeoutMs: DOCTOR_LIMITS.probeMs,
      maxBytes: MAX_BYTES,
      signal,
      ...(tlsFingerprint === '' ? {} : { pin: tlsFingerprint }),
    });
    const body: unknown = await answer.json();
    const roundTripMs = env.monotonic() - asked;
    const middle = env.now() - roundTripMs / 2;
    const { proof } = answerSchema.parse(body);
    const bytes = fromBase64url(proof);
    if (bytes === undefined) return undefined;
    const { peerId, time } = verifyIdentityProof(bytes, {
      net: network,
      nonce,
      now: middle,
      windowMs: Infinity,
    });
    if (peerId !== id) return undefined;
    return { id, label, offsetMs: Math.round(time - middle), uncertaintyMs: Math.ceil(roundTripMs / 2) };
  } catch {
    return undefined;
  }
}

/** Asks the first of them, some at a time. */
export async function probeClocks(
  parts: ProbeParts,
  nodes: readonly ProbedNode[],
  signal: AbortSignal,
): Promise<ClockFact[]> {
  const waiting = nodes.slice(0, DOCTOR_LIMITS.probes);
  const found: ClockFact[] = [];
  const ask = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      if (signal.aborted) return;
      const clock = await probeClock(parts, next, signal);
      if (clock !== undefined) found.push(clock);
    }
  };
  await Promise.all(Array.from({ length: DOCTOR_LIMITS.probesAtOnce }, ask));
  return found;
}
