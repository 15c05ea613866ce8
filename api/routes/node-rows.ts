import { z } from '@hono/zod-openapi';
import type { JSONValue } from 'hono/utils/types';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import { nodeTemplate } from '../node-template.ts';
import type { NodeEntry } from '../ports/registration.ts';
import { ReliabilityJson } from '../trust-json.ts';
import { QuotaJson } from './node-quota.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';

const value = z.unknown() as z.ZodType<JSONValue | undefined>; // it has been JSON all along
const status = z.enum(['pending', 'active', 'suspended', 'revoked']);
const base = {
  /** Peer id, or `legacy:<origin>`. */
  nodeId: z.string(),
  kind: z.enum(['agrinetd', 'http']),
  peerId: z.string().optional(),
  url: z.string(),
  region: z.string(),
  status,
};

/** A collection that two versions do not compare; null for the one that does not know it. */
export const NotCompared = z.object({
  collection: z.string(),
  here: z.number().int().nullable(),
  there: z.number().int().nullable(),
});

/** A node in one line: the answer to what was done about it. */
export const Registered = z
  .object({ ...base, statement: z.string().optional(), message: z.string().optional() })
  .openapi('RegisteredNode');

/** A node in the Agrinet node template, with its standing. */
export const NodeRow = z
  .object({
    ...base,
    name: z.string(),
    lastSync: z.string().nullable(),
    lastSyncAt: z.string().nullable(),
    lastHash: z.string().nullable(),
    lag: z.number().nullable(),
    schemaVersion: z.number().nullable(),
    /** LBTAS score; null while no rating counts. */
    trustScore: z.number().nullable(),
    reliability: ReliabilityJson,
    connected: z.boolean(),
    /** Heard from within the last 75 s, over whatever. */
    online: z.boolean(),
    lastContactAt: z.string().nullable(),
    listings: z.number(),
    nextRetryAt: z.string().nullable(),
    /** For the operator alone. */
    quota: QuotaJson.optional(),
    /** In no comparison of digests, because the versions of the two nodes know them differently. */
    notCompared: z.array(NotCompared),
  })
  .catchall(value)
  .openapi('Node');

/** What others' ratings say of a node, and how it does as a peer. */
export interface NodeTrust {
  readonly trustScore: number | null;
  readonly reliability: z.output<typeof ReliabilityJson>;
}

const iso = (ms: number | undefined): string | null => (ms === undefined || ms === 0 ? null : isoTime(ms));

export function entryJson({ id, kind, peerId, url, region, status }: NodeEntry) {
  return { nodeId: id, kind, ...(peerId === undefined ? {} : { peerId }), url, region, status };
}

/** Its own profile tells the template's fields; what the registry knows wins. */
export function nodeJson(
  each: NodeEntry,
  profile: RecordState['view'] | undefined,
  trust: NodeTrust,
): z.output<typeof NodeRow> {
  // What a node says of its own reputation in its profile counts for nothing.
  const { trustScore } = trust;
  return {
    ...nodeTemplate(each.id, profile),
    reputation: { leveson: trustScore ?? 0 },
    ...entryJson(each),
    name: each.name,
    lastSync: iso(each.lastSyncAt),
    lastSyncAt: iso(each.lastSyncAt),
    lastHash: each.lastHash ?? null,
    lag: each.lag ?? null,
    schemaVersion: each.schemaVersion ?? null,
    trustScore,
    reliability: trust.reliability,
    connected: each.connected,
    online: each.online,
    lastContactAt: iso(each.lastContactAt),
    listings: each.listings,
    nextRetryAt: iso(each.nextRetryAt),
    notCompared: each.notCompared.map((left) => ({ ...left })),
  };
}
