import { z } from '@hono/zod-openapi';
import { AgrinetError } from '../../protocols/errors.ts';
import { nodeOf } from '../../protocols/market/party.ts';
import { trustText } from '../../protocols/market/trust.ts';
import { parsePeerId, type PeerId } from '../../protocols/wire/identity.ts';
import type { TrustPort } from '../ports/trust.ts';
import { json, jsonOrMedia, route, router } from '../route.ts';
import { ReliabilityJson, reliabilityJson } from '../trust-json.ts';

const tags = ['Market'];
const params = z.object({
  id: z.string().min(1).max(256).openapi({ description: 'user@peer-id; a user of this node; or a peer id' }),
});
export const TRUST_LIMITS = {
  /** Characters of `roots`: 150 peer ids, and what the head of a request can carry beside all else. */
  rootsCharacters: 8192,
} as const;
const rootsQuery = z.string().max(TRUST_LIMITS.rootsCharacters).optional().openapi({
  description:
    'Up to 150 peer ids, comma-separated, whose ratings count; default: this node and its active registrations',
});
const Trust = z
  .object({
    subject: z.string(),
    score: z
      .number()
      .nullable()
      .openapi({ description: 'LBTAS points, -1 to 4; null: unknown, no rating counts' }),
    microPoints: z.number().int().nullable(),
    counterparties: z.number().int().openapi({ description: 'Nodes whose ratings count' }),
    roots: z.array(z.string()),
    reliability: ReliabilityJson.openapi({
      description: 'Of its node, as this node met it; no part of the score',
    }),
  })
  .openapi('Trust');
const Proof = z
  .object({
    v: z.literal(1),
    subject: z.string(),
    score: z.number().int().nullable(),
    counterparties: z.number().int(),
    scale: z.number().int(),
    prior: z.object({ score: z.number().int(), weight: z.number().int() }),
    roots: z.array(z.string()),
    inputs: z.array(
      z.object({
        id: z.string(),
        from: z.string(),
        to: z.string(),
        score: z.number().nullable(),
        contract: z.string(),
        supersedes: z.string().nullable(),
        problem: z.string().nullable(),
        verdict: z.string(),
        by: z.string().nullable(),
      }),
    ),
    nodes: z.array(
      z.object({
        node: z.string(),
        mean: z.number().int(),
        raters: z.array(
          z.object({ rater: z.string(), sum: z.number(), ratings: z.number().int(), mean: z.number().int() }),
        ),
      }),
    ),
    sum: z.number().int(),
    divisor: z.number().int(),
  })
  .openapi('TrustProof');

const score = route('read', {
  operationId: 'getTrustScore',
  method: 'get',
  path: '/{id}',
  tags,
  summary: 'The LBTAS score of a user or node, and beside it how its node does as a peer',
  request: { params, query: z.object({ roots: rootsQuery }) },
  responses: { 200: json(Trust, 'The score as seen from the roots') },
});
const proof = route('read', {
  operationId: 'getTrustProof',
  method: 'get',
  path: '/{id}/proof',
  tags,
  summary: 'All that the score comes from: with equal facts and roots the same bytes on every node',
  description:
    'Canonical JSON (RFC 8785). Each input names the rating fact; the mean of a rater is floor(scale * sum / ratings), of a node the floored mean of its raters, the score floor(sum / divisor).',
  request: { params, query: z.object({ roots: rootsQuery }) },
  responses: { 200: jsonOrMedia(Proof, 'The proof') },
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
    throw new AgrinetError('query-invalid', 'roots: peer ids, comma-separated');
  return known;
}
