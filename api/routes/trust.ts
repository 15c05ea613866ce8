import { z } from '@hono/zod-openapi';
import { AgrinetError } from '../../protocols/errors.ts';
import { nodeOf } from '../../protocols/market/party.ts';
import { trustText } from '../../protocols/market/trust.ts';
import { parsePeerId, type PeerId } from '../../protocols/wire/identity.ts';
import type { TrustPort } from '../ports/trust.ts';
import { json, jsonOrMedia, route, router } from '../route.ts';
import { count, number, text, texts } from '../schemas.ts';
import { ReliabilityJson, reliabilityJson } from '../trust-json.ts';

const tags = ['Ratings'];
const params = z.object({
  id: z.string().min(1).max(256).openapi({
    description: '`user@peer-id`, a user of this node, or a peer ID.',
  }),
});
export const TRUST_LIMITS = {
  /** Characters of `roots`: 150 peer ids, and what the head of a request can carry beside all else. */
  rootsCharacters: 8192,
} as const;
const rootsQuery = z.string().max(TRUST_LIMITS.rootsCharacters).optional().openapi({
  description:
    'Comma-separated peer IDs, up to 150, of the nodes whose ratings count. Default: this node and its active registrations.',
});
const Trust = z
  .object({
    subject: text('Rated user, `user@peer-id`, or peer ID of the rated node.'),
    score: z
      .number()
      .min(-1)
      .max(4)
      .nullable()
      .describe('LBTAS score, -1 to 4; null while no rating counts.'),
    microPoints: z.number().int().nullable().describe('Score in millionths of a point.'),
    counterparties: count('Number of nodes whose ratings count.'),
    roots: texts('Peer IDs of the nodes that the score was computed from.'),
    reliability: ReliabilityJson,
  })
  .openapi('TrustScore');
const integer = (description: string) => z.number().int().describe(description);
const ProofInput = z
  .object({
    id: text('Key of the rating.'),
    from: text('Rater.'),
    to: text('Rated user.'),
    score: z.number().nullable().describe('LBTAS score; null if the rating is malformed.'),
    contract: text('Key of the contract.'),
    supersedes: z.string().nullable().describe('Key of the rating that it corrects.'),
    problem: z.string().nullable().describe('Why the rating is invalid.'),
    verdict: text('`counted`, or why it is not.'),
    by: z.string().nullable().describe('Key of the rating that replaces it.'),
  })
  .openapi('TrustProofInput');
const ProofRater = z
  .object({
    rater: text('Rater, `user@peer-id`.'),
    sum: number('Sum of the scores.'),
    ratings: count('Number of ratings.'),
    mean: integer('`floor(scale * sum / ratings)`.'),
  })
  .openapi('TrustProofRater');
const ProofNode = z
  .object({
    node: text('Peer ID of the raters’ node.'),
    mean: integer('Floored mean of its raters.'),
    raters: z.array(ProofRater),
  })
  .openapi('TrustProofNode');
const Proof = z
  .object({
    v: z.literal(1),
    subject: text('Rated user or node.'),
    score: z.number().int().nullable().describe('`floor(sum / divisor)`, in units of 1 / `scale` points.'),
    counterparties: count('Number of nodes whose ratings count.'),
    scale: integer('Units per point.'),
    prior: z
      .object({ score: integer('Prior score, in points.'), weight: integer('Its weight, in ratings.') })
      .openapi({ description: 'Bayesian prior.' }),
    roots: texts('Peer IDs of the nodes that the score was computed from.'),
    inputs: z.array(ProofInput),
    nodes: z.array(ProofNode),
    sum: integer('Weighted sum.'),
    divisor: integer('Sum of the weights.'),
  })
  .openapi('TrustProof');

const score = route('read', {
  operationId: 'getTrustScore',
  method: 'get',
  path: '/{id}',
  tags,
  summary: 'Retrieve the trust score of a user or node',
  request: { params, query: z.object({ roots: rootsQuery }) },
  responses: { 200: json(Trust, 'The score as seen from the roots.') },
});
const proof = route('read', {
  operationId: 'getTrustProof',
  method: 'get',
  path: '/{id}/proof',
  tags,
  summary: 'Retrieve the reproducible proof of a trust score',
  description: 'Canonical JSON (RFC 8785): the same ratings and roots give the same bytes on every node.',
  request: { params, query: z.object({ roots: rootsQuery }) },
  responses: { 200: jsonOrMedia(Proof, 'The proof.') },
});

export interface TrustContext {
  readonly self: PeerId;
  readonly trust: TrustPort;
}

export function trustRoutes({ self, trust }: TrustContext) {
  /** Throws `not-found`. */
  function subjectOf(id: string): string {
    if (parsePeerId(id) !== undefined || nodeOf(id) !== undefined) return id;
    const own = `${id}@${self}`;
    if (nodeOf(own) === undefined || id.includes('@')) throw new AgrinetError('not-found', 'Not found');
    return own;
  }

  return router()
    .openapi(score, async (c) => {
      const subject = subjectOf(c.req.valid('param').id);
      const roots = rootsOf(c.req.valid('query').roots) ?? [...trust.roots()];
      const { score: micro, counterparties, scale, roots: sorted } = await trust.proof(subject, roots);
      return c.json(
        {
          subject,
          score: micro === null ? null : micro / scale,
          microPoints: micro,
          counterparties,
          roots: [...sorted],
          reliability: reliabilityJson(trust.reliability(nodeOf(subject) ?? subject)),
        },
        200,
      );
    })
    .openapi(proof, async (c) => {
      const subject = subjectOf(c.req.valid('param').id);
      const found = await trust.proof(subject, rootsOf(c.req.valid('query').roots));
      return c.body(trustText(found), 200, { 'content-type': 'application/json' });
    });
}

/** Throws `query-invalid`. */
function rootsOf(text: string | undefined): PeerId[] | undefined {
  if (text === undefined) return undefined;
  const names = text.split(',').map((name) => name.trim());
  const roots = names.filter((name) => name !== '').map(parsePeerId);
  const known = roots.filter((root) => root !== undefined);
  if (known.length !== roots.length)
    throw new AgrinetError('query-invalid', 'roots: must be comma-separated peer IDs');
  return known;
}
