import { z } from '@hono/zod-openapi';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import { nodeTemplate, profileParts } from '../node-template.ts';
import type { NodeEntry } from '../ports/registration.ts';
import { ReliabilityJson } from '../trust-json.ts';
import { QuotaJson } from './node-quota.ts';
import { count, flag, text } from '../schemas.ts';
import { isoOrNull } from '../../protocols/wire/iso-time.ts';

const time = z.iso.datetime().nullable();
const NodeStatus = z.enum(['pending', 'active', 'suspended', 'revoked']).openapi('NodeStatus');
const base = {
  nodeId: text('Peer ID, or `legacy:<origin>`.'),
  kind: z.enum(['agrinetd', 'http']).openapi({
    description: '`agrinetd`, or `http` for an old back end that is read over HTTP only.',
  }),
  peerId: text('Peer ID; absent for an old back end.').optional(),
  url: text('URL; may be empty.'),
  region: text('Region.'),
  status: NodeStatus,
};

/** A collection that two versions do not compare; null for the one that does not know it. */
const schemaVersion = z.number().int().nullable();
export const NotCompared = z
  .object({
    collection: text('Name of the collection.'),
    here: schemaVersion.describe('Version of the collection on this node; null if it is unknown here.'),
    there: schemaVersion.describe('Version on the other node; null if it is unknown there.'),
  })
  .openapi('UncomparedCollection');

/** A node in one line: the answer to what was done about it. */
export const Registered = z
  .object({
    ...base,
    statement: text('Signed registration of this node, base64url.').optional(),
    message: text('What happens next.').optional(),
  })
  .openapi('RegisteredNode');

/** A node in the Agrinet node template, with its status. */
export const NodeRow = z
  .object({
    ...base,
    ...profileParts,
    name: text('Name; may be empty.'),
    lastSync: time.describe('Same as `lastSyncAt`.'),
    lastSyncAt: time.describe('When the last sync ended; null before the first.'),
    lastHash: z.string().nullable().describe('State digest or export hash received last, hex.'),
    lag: z
      .number()
      .int()
      .nullable()
      .describe('Number of its entries still missing here; null if unknown. Operators only.'),
    schemaVersion: z.number().nullable().describe('Schema version of the node; null if unknown.'),
    trustScore: z
      .number()
      .int()
      .min(0)
      .max(100)
      .nullable()
      .describe(
        'Whole percent of the node’s publicly rated contracts without a breach (a rating of -1), rounded down; null without one. The distribution of its ratings: `GET /trust/{id}`.',
      ),
    reliability: ReliabilityJson,
    connected: flag('Whether it is connected over libp2p.'),
    online: flag('Whether it was heard from within the last 75 s.'),
    lastContactAt: time.describe('When it was last heard from.'),
    listings: count('Number of its listings on this node.'),
    nextRetryAt: time.describe('When the next connection attempt is due.'),
    quota: QuotaJson.optional(),
    notCompared: z.array(NotCompared).openapi({
      description:
        'Collections excluded from digest comparisons because the two nodes know different versions of them.',
    }),
  })
  .openapi('Node');

/** Others' ratings of a node's users, and its reliability as a peer. */
export interface NodeTrust {
  readonly trustScore: number | null;
  readonly reliability: z.output<typeof ReliabilityJson>;
}

export function entryJson({ id, kind, peerId, url, region, status }: NodeEntry) {
  return { nodeId: id, kind, ...(peerId === undefined ? {} : { peerId }), url, region, status };
}

/** The template's fields come from its own profile; what the registry knows takes precedence. */
export function nodeJson(
  each: NodeEntry,
  profile: RecordState['view'] | undefined,
  trust: NodeTrust,
): z.output<typeof NodeRow> {
  // A node's own statement of its reputation in its profile is ignored.
  const { trustScore } = trust;
  return {
    ...nodeTemplate(each.id, profile),
    reputation: { leveson: trustScore ?? 0 },
    ...entryJson(each),
    name: each.name,
    lastSync: isoOrNull(each.lastSyncAt),
    lastSyncAt: isoOrNull(each.lastSyncAt),
    lastHash: each.lastHash ?? null,
    lag: each.lag ?? null,
    schemaVersion: each.schemaVersion ?? null,
    trustScore,
    reliability: trust.reliability,
    connected: each.connected,
    online: each.online,
    lastContactAt: isoOrNull(each.lastContactAt),
    listings: each.listings,
    nextRetryAt: isoOrNull(each.nextRetryAt),
    notCompared: each.notCompared.map((left) => ({ ...left })),
  };
}
