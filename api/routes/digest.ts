import { z } from '@hono/zod-openapi';
import type { JSONValue } from 'hono/utils/types';
import { isPrefix, PREFIX_LIMITS } from '../../protocols/digest/prefix.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { REQUEST_HEADER, REQUEST_LIMITS } from '../../protocols/mycelium/signed-request.ts';
import { parsePeerId } from '../../protocols/wire/identity.ts';
import { isCollection } from '../../protocols/wire/ids.ts';
import type { ApiContext, OwnerDigest } from '../context.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';
import { json, route, router } from '../route.ts';
import { signerOf } from '../signed-reader.ts';
import { wholeNumber } from '../schemas.ts';

const tags = ['Federation'];
const anyValue = z.unknown() as z.ZodType<JSONValue>; // rows of the database, JSON all along

/** Collections with the op version that their records are judged by. */
export const Covers = z
  .record(z.string(), z.number().int())
  .openapi({ description: 'Collections, with the op version that their records are judged by' });

const digest = route('read', {
  operationId: 'getStateDigest',
  method: 'get',
  path: '/digest',
  tags,
  summary: 'The state digest: equal on two nodes when they hold the same',
  responses: {
    200: json(
      z.object({
        digest: z.string(),
        covers: Covers,
        owners: z.record(
          z.string(),
          z.object({
            frontier: z.array(
              z.object({
                epoch: z.string(),
                seq: z.number().int(),
                hash: z.string(),
                fork: z.string().optional(),
              }),
            ),
            digest: z.string(),
            collections: z.record(z.string(), z.object({ count: z.number().int(), digest: z.string() })),
            forgotten: z
              .object({ entries: z.number().int(), keptEntries: z.number().int(), since: z.string() })
              .optional()
              .openapi({ description: 'Entries that were held and are not any more: not to be compared' }),
          }),
        ),
      }),
      'The total, and each owner’s',
    ),
  },
});
const Branch = z.object({ prefix: z.string(), count: z.number().int(), digest: z.string() });
const branch = route('open', {
  operationId: 'getDigestBranch',
  method: 'get',
  path: '/digest/{owner}/{collection}',
  tags,
  summary:
    'Public records of an owner by prefixes of the hashes of their keys: what two nodes find differences by',
  description:
    'Without PUBLIC_READS a key, or a request signed by a registered node. Few records are told one by one, many as branches; see protocols/README.md.',
  request: {
    params: z.object({ owner: z.string().min(1).max(128), collection: z.string().min(1).max(64) }),
    headers: z.object({ [REQUEST_HEADER]: z.string().max(REQUEST_LIMITS.headerCharacters).optional() }),
    query: z.object({
      prefix: z
        .string()
        .max(PREFIX_LIMITS.digits)
        .refine(isPrefix, 'lower-case hex digits')
        .default('')
        .openapi({ description: 'Lower-case hex digits', pattern: '^[0-9a-f]*$' }),
    }),
  },
  responses: {
    200: json(
      Branch.extend({
        records: z.array(z.object({ id: z.string(), hash: z.string() })).optional(),
        branches: z.array(Branch).optional(),
      }),
      'The branch at the prefix: its records, or the branches below it',
    ),
  },
});
const peers = route('operator', {
  operationId: 'listPeers',
  method: 'get',
  path: '/peers',
  tags,
  summary: 'Everybody this node knows of',
  responses: {
    200: json(
      z.object({
        peers: z.array(
          z.object({
            peerId: z.string(),
            registered: z.boolean(),
            connected: z.boolean(),
            nextRetryAt: z.number().optional(),
          }),
        ),
      }),
      'Connected, discovered or registered',
    ),
  },
});
const ops = route('operator', {
  operationId: 'listOps',
  method: 'get',
  path: '/ops',
  tags,
  summary: 'List pending and rejected ops with their reasons, by author, state and code',
  request: {
    query: z.object({
      limit: wholeNumber(1, 1000).default(100),
      cursor: z
        .string()
        .regex(/^[0-9a-f]{20}$/)
        .optional()
        .openapi({ description: 'As an earlier page named it' }),
      author: z
        .string()
        .refine((text) => parsePeerId(text) !== undefined, 'the peer id of a node')
        .optional(),
      state: z.enum(['pending', 'rejected']).optional(),
      code: z
        .string()
        .max(64)
        .regex(/^[a-z0-9.-]+$/)
        .optional()
        .openapi({ description: 'Why, as `verdict.code` says' }),
    }),
  },
  responses: {
    200: json(
      z.object({ ops: z.array(anyValue), total: z.number().int(), cursor: z.string().optional() }),
      'One page of them, and how many the filter has in all; no cursor on the last page',
    ),
  },
});

/** What this node holds and whom it knows. */
export function digestRoutes(
  node: Pick<ApiContext, 'digest' | 'digestBranch' | 'exchange' | 'peers' | 'reader'>,
) {
  return router()
    .openapi(digest, (c) => {
      const found = node.digest();
      const owners = Object.fromEntries(
        Object.entries(found.owners).map(([owner, each]) => [owner, shownOwner(each)]),
      );
      return c.json({ digest: found.digest, covers: Object.fromEntries(found.covers), owners }, 200);
    })
    .openapi(branch, async (c) => {
      const { owner: ownerText, collection } = c.req.valid('param');
      signerOf(c, node.exchange);
      const owner = parsePeerId(ownerText);
      if (owner === undefined || !isCollection(collection)) throw new AgrinetError('not-found', 'Not found');
      const found = await node.digestBranch(owner, collection, c.req.valid('query').prefix);
      const { prefix, count, digest } = found;
      const held = 'records' in found ? { records: [...found.records] } : { branches: [...found.branches] };
      return c.json({ prefix, count, digest, ...held }, 200);
    })
    .openapi(peers, (c) => c.json({ peers: [...node.peers()] }, 200))
    .openapi(ops, async (c) => {
      const { limit, cursor: after, author, state, code } = c.req.valid('query');
      const { total, cursor, ...page } = await node.reader.verdicts(limit, { author, state, code }, after);
      const body = { ops: page.ops as JSONValue[], total };
      return c.json(cursor === undefined ? body : { ...body, cursor }, 200);
    });
}

/** An owner as it is told; since when as a text. */
function shownOwner({ frontier, digest: total, collections, forgotten }: OwnerDigest) {
  const gap = forgotten && { ...forgotten, since: isoTime(forgotten.since) };
  return {
    frontier: [...frontier],
    digest: total,
    collections: { ...collections },
    ...(gap === undefined ? {} : { forgotten: gap }),
  };
}
