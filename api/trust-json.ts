import { z } from '@hono/zod-openapi';
import { count } from './schemas.ts';
import { percentKept } from '../protocols/market/reputation.ts';
import { parsePeerId } from '../protocols/wire/identity.ts';
import type { Reliability, TrustPort } from './ports/trust.ts';
import { isoTime } from '../protocols/wire/iso-time.ts';

const time = z.iso.datetime().nullable();
export const ReliabilityJson = z
  .object({
    syncs: count('Successful syncs with the node.'),
    syncsFailed: count('Failed syncs.'),
    invalidEntries: count('Invalid entries it sent, which no honest node could have sent.'),
    equivocations: count('Times it signed two different entries for the same position.'),
    since: time.describe('Start of the observation; null while nothing is known.'),
    lastFailedAt: time.describe('When a sync last failed; null if none has.'),
    lastFailure: z.string().nullable().describe('Error code of the last failure.'),
  })
  .openapi('NodeReliability', { description: 'How the node behaves as a peer; not part of its reputation.' });

const iso = (ms: number | null): string | null => (ms === null ? null : isoTime(ms));

export function reliabilityJson({
  since,
  lastFailedAt,
  ...counts
}: Reliability): z.output<typeof ReliabilityJson> {
  return { ...counts, since: iso(since), lastFailedAt: iso(lastFailedAt) };
}

/** The share of its rated trades that a node kept, in percent, null while nothing is known, and its reliability as a peer. */
export async function nodeTrust(
  trust: Pick<TrustPort, 'kept' | 'reliability'>,
  id: string,
): Promise<{ trustScore: number | null; reliability: z.output<typeof ReliabilityJson> }> {
  // An old node over HTTP has no key, so nobody can have settled anything with it.
  return {
    trustScore: parsePeerId(id) === undefined ? null : percentKept(await trust.kept(id)),
    reliability: reliabilityJson(trust.reliability(id)),
  };
}
