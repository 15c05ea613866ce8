import { z } from '@hono/zod-openapi';
import { isPrefix, PREFIX_LIMITS } from '../../protocols/digest/prefix.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { REQUEST_HEADER, REQUEST_LIMITS } from '../../protocols/mycelium/signed-request.ts';
import { parsePeerId } from '../../protocols/wire/identity.ts';
import { isCollection } from '../../protocols/wire/ids.ts';
import type { ApiContext, OwnerDigest } from '../context.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';
import { json, route, router } from '../route.ts';
import { signerOf } from '../signed-reader.ts';
import { count, flag, pageOf, text, timestamp, wholeNumber } from '../schemas.ts';

const tags = ['Federation'];
/** Collections with the op version that their records are evaluated by. */
export const Covers = z
  .record(z.string(), z.number().int())
  .openapi('Coverage', { description: 'Versions of the collections covered by the digests, by name.' });
export const FrontierItem = z
  .object({
    epoch: text('ID of the epoch, hex.'),
    seq: count('Sequence number of the newest entry.'),
    hash: text('Hash of that entry, hex.'),
    fork: text('Hash of the fork proof, hex, if the author has forked the epoch.').optional(),
  })
  .openapi('FrontierItem');
const OwnerState = z
  .object({
    frontier: z.array(FrontierItem),
    digest: text('Digest of the owner’s public records, hex.'),
    collections: z.record(
      z.string(),
      z
        .object({ count: count('Number of records.'), digest: text('Digest of the records, hex.') })
        .openapi('CollectionDigest'),
    ),
    forgotten: z
      .object({
        entries: count('Number of entries removed.'),
        keptEntries: count('Number of entries retained.'),
        since: timestamp('When they were removed.'),
      })
      .optional()
      .openapi({ description: 'Entries removed by `forget`; the owner’s digest cannot be compared.' }),
  })
  .openapi('OwnerDigest');

const digest = route('read', {
  operationId: 'getStateDigest',
  method: 'get',
  path: '/digest',
  tags,
  summary: 'Retrieve the state digest; equal digests mean equal data',
  responses: {
    200: json(
      z
        .object({
          digest: text('Digest of all public records, hex.'),
          covers: Covers,
          owners: z.record(z.string(), OwnerState).openapi({ description: 'By peer ID of the owner.' }),
        })
        .openapi('StateDigest'),
      'The digest of all records, and of each owner’s.',
    ),
  },
});
const Branch = z
  .object({
    prefix: text('Prefix of the key hashes, hex.'),
    count: count('Number of records.'),
    digest: text('Digest of the records, hex.'),
  })
  .openapi('DigestBranch');
const BranchDetails = z
  .object({
    ...Branch.shape,
    records: z
      .array(z.object({ id: text('Local ID of the record.'), hash: text('Hash of its state, hex.') }))
      .optional(),
    branches: z.array(Branch).optional(),
  })
  .openapi('DigestBranchDetails');
const branch = route('open', {
  operationId: 'getDigestBranch',
  method: 'get',
  path: '/digest/{owner}/{collection}',
  tags,
  summary: 'Retrieve a branch of the digest tree, to find differing records',
  description:
    'With `PUBLIC_READS=off`, requires a key or a request signed by a registered node. A small branch lists its records, a large one the branches below it; see protocols/README.md.',
  request: {
    params: z.object({
      owner: z.string().min(1).max(128).openapi({ description: 'Peer ID of the owner.' }),
      collection: z.string().min(1).max(64).openapi({ description: 'Name of the collection.' }),
    }),
    headers: z.object({
      [REQUEST_HEADER]: z.string().max(REQUEST_LIMITS.headerCharacters).optional().openapi({
        description: 'A request signed by a registered node; see protocols/README.md.',
      }),
    }),
    query: z.object({
      prefix: z
        .string()
        .max(PREFIX_LIMITS.digits)
        .refine(isPrefix, 'must be lower-case hex digits')
        .default('')
        .openapi({ description: 'Prefix of the key hashes, lower-case hex.', pattern: '^[0-9a-f]*$' }),
    }),
  },
  responses: { 200: json(BranchDetails, 'The branch.') },
  codes: ['busy', 'digest-too-large', 'forbidden', 'request-unsigned', 'unauthorized'],
});
const Peer = z
  .object({
    peerId: text('Peer ID.'),
    registered: flag('Whether it is registered here.'),
    connected: flag('Whether it is connected.'),
    nextRetryAt: z
      .number()
      .int()
      .optional()
      .describe('When the next connection attempt is due, in milliseconds since the Unix epoch.'),
  })
  .openapi('Peer');
const peers = route('operator', {
  operationId: 'listPeers',
  method: 'get',
  path: '/peers',
  tags,
  summary: 'List known peers: connected, discovered or registered',
  responses: { 200: json(z.object({ peers: z.array(Peer) }).openapi('PeerList'), 'Known peers.') },
});
const Op = z
  .object({
    ref: z
      .object({
        author: text('Peer ID of the author.'),
        channel: text('`public`, or the key of a private record.'),
        epoch: text('ID of the epoch, hex.'),
        seq: count('Sequence number of the entry.'),
        index: count('Position in the entry.'),
      })
      .openapi({ description: 'Where the operation is.' }),
    size: count('Size in bytes.'),
    key: text('Key of the record.').optional(),
    verdict: z.object({
      state: z.enum(['pending', 'rejected']).openapi({
        description: '`pending`: missing dependencies or an upgrade.',
      }),
      code: text('Reason.'),
      missing: text('What is missing; only for a pending operation.').optional(),
    }),
  })
  .openapi('Op');
const OpPage = pageOf('ops', Op)
  .extend({ total: count('Number of operations that match the filter.') })
  .openapi('OpPage');
const ops = route('operator', {
  operationId: 'listOps',
  method: 'get',
  path: '/ops',
  tags,
  summary: 'List rejected and pending operations, with reasons',
  request: {
    query: z.object({
      limit: wholeNumber(1, 1000).default(100).openapi({ description: 'Maximum number of items per page.' }),
      cursor: z
        .string()
        .regex(/^[0-9a-f]{20}$/)
        .optional()
        .openapi({ description: 'The `cursor` of the previous page.' }),
      author: z
        .string()
        .refine((text) => parsePeerId(text) !== undefined, 'must be a peer ID')
        .optional()
        .openapi({ description: 'Peer ID of the author.' }),
      state: z.enum(['pending', 'rejected']).optional().openapi({ description: 'State.' }),
      code: z
        .string()
        .max(64)
        .regex(/^[a-z0-9.-]+$/)
        .optional()
        .openapi({ description: 'Reason, as in `verdict.code`.' }),
    }),
  },
  responses: { 200: json(OpPage, 'A page of operations.') },
});

/** What this node holds and which peers it knows. */
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
      const body = { ops: [...page.ops], total };
      return c.json(cursor === undefined ? body : { ...body, cursor }, 200);
    });
}

/** An owner as shown; the time as text. */
function shownOwner({ frontier, digest: total, collections, forgotten }: OwnerDigest) {
  const gap = forgotten && { ...forgotten, since: isoTime(forgotten.since) };
  return {
    frontier: [...frontier],
    digest: total,
    collections: { ...collections },
    ...(gap === undefined ? {} : { forgotten: gap }),
  };
}
