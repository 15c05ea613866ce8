import { z } from '@hono/zod-openapi';
import { AgrinetError } from '../../protocols/errors.ts';
import { nodeOf } from '../../protocols/market/party.ts';
import { NOTE_KINDS, NOTE_REASONS } from '../../protocols/market/rating-notes.ts';
import {
  percentKept,
  type ReputationProof,
  reputationText,
  type ReputationView,
} from '../../protocols/market/reputation.ts';
import { TRADE_ROLES } from '../../protocols/market/roles.ts';
import { parsePeerId, type PeerId } from '../../protocols/wire/identity.ts';
import { CpuTurn } from '../../protocols/wire/cpu-turn.ts';
import { byteStream } from '../byte-stream.ts';
import type { ApiContext } from '../context.ts';
import type { TrustPort } from '../ports/trust.ts';
import { ReputationJson, reputationJson } from '../reputation-json.ts';
import { json, jsonOrMedia, route, router } from '../route.ts';
import { count, flag, text, texts, timestamp } from '../schemas.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';
import { subjectOf } from '../subject.ts';
import { ReliabilityJson, reliabilityJson } from '../trust-json.ts';

const tags = ['Ratings'];
const params = z.object({
  id: z.string().min(1).max(256).openapi({
    description: '`user@peer-id`, a user of this node, or a peer ID.',
  }),
});
export const TRUST_LIMITS = {
  /** Characters of `roots` and of `adjudicators`: enough for 150 peer IDs, and small enough for the request headers. */
  rootsCharacters: 8192,
} as const;
const peers = (description: string) =>
  z.string().max(TRUST_LIMITS.rootsCharacters).optional().openapi({ description });
const query = z.object({
  roots: peers(
    'Comma-separated peer IDs, up to 150, of the nodes whose ratings count. Default: this node and its active registrations.',
  ),
  adjudicators: peers(
    'Comma-separated peer IDs, up to 150, of the nodes whose notes on others’ ratings take effect. Default: this node. Send an empty value for none.',
  ),
  asOf: z.iso
    .datetime({ offset: true })
    .optional()
    .openapi({ description: 'Time for which missing ratings are counted. Default: now.' }),
});
const Trust = ReputationJson.extend({
  percentKept: z
    .number()
    .int()
    .min(0)
    .max(100)
    .nullable()
    .describe('`contractsKept` of `contracts` in whole percent, rounded down; null without one.'),
  asOf: timestamp('Time at which silence was counted.'),
  roots: texts('Peer IDs of the nodes whose ratings count.'),
  adjudicators: texts('Peer IDs of the nodes whose notes on others’ ratings take effect.'),
  reliability: ReliabilityJson,
}).openapi('Trust');
const ms = (description: string) => z.number().int().describe(`${description}, milliseconds since 1970.`);
const nullable = (description: string) => z.string().nullable().describe(description);
const role = z.enum(TRADE_ROLES);
const input = {
  id: text('Record key of the rating.'),
  from: text('Rater, `user@peer-id`.'),
  to: text('Rated user, `user@peer-id`.'),
  score: z.number().describe('LBTAS level, -1 to 4.'),
  contract: text('Record key of the settled contract.'),
  role: role.nullable().describe('Side of the rated user; null if the receipt does not show it.'),
  signedAt: ms('When the rating was signed'),
  settledAt: ms('The later of the two settlements'),
  supersedes: nullable('Record key of the rating that this one corrects.'),
  problem: nullable('Why the rating is invalid; null if it is valid.'),
};
const ProofInput = z
  .object({
    ...input,
    verdict: text('`active`, `late` or `dismissed`, or why it does not count.'),
    by: nullable('Rating that counts instead.'),
    contested: flag('Whether the rated user’s node contests it.'),
    upheld: flag('Whether the rater’s node, or an adjudicator, stands by it.'),
  })
  .openapi('ReputationInput');
const ProofNote = z
  .object({
    id: text('Record key of the note.'),
    rating: text('Record key of the rating.'),
    to: text('Whom that rates, `user@peer-id`.'),
    kind: z.enum(NOTE_KINDS).nullable(),
    by: text('Who says it, `user@peer-id`.'),
    why: z.enum(NOTE_REASONS).nullable(),
    signedAt: ms('When it was signed'),
    supersedes: nullable('Record key of the note that this one replaces.'),
    problem: nullable('Why the note is invalid; null if it is valid.'),
    verdict: text('`effective` or `view`, or why it has no effect.'),
    side: z.enum(['rater', 'rated', 'adjudicator', 'other']).describe('Capacity in which its node speaks.'),
  })
  .openapi('ReputationNote');
const Defaulted = z
  .object({
    from: text('Silent party, `user@peer-id`.'),
    to: text('Party that counts as rated, `user@peer-id`.'),
    role: role.describe('Side of that party.'),
    contract: text('Record key of the settled contract.'),
    at: ms('When the time for rating was over'),
    of: text('Record key of the rating that makes the contract public.'),
    verdict: text('`defaulted`, or why it does not count.'),
  })
  .openapi('DefaultedRating');
const ProofDistribution = z
  .object({
    levels: z.array(z.number().int()).length(6).describe('Nodes by the level they gave, from -1 to 4.'),
    nodes: count('Sum of `levels`.'),
    ratings: count('Number of ratings.'),
    breaches: count('Number of nodes that gave any -1.'),
    first: ms('When the first of them was signed').nullable(),
    last: ms('When the last of them was signed').nullable(),
  })
  .openapi('ReputationDistribution');
const ProofRole = z
  .object({
    role,
    active: ProofDistribution,
    late: ProofDistribution,
    defaulted: ProofDistribution,
    dismissed: ProofDistribution,
    contested: count('Number of active and late ratings that are contested.'),
  })
  .openapi('ReputationRole');
const Proof = z
  .object({
    v: z.literal(2),
    subject: text('Rated user or node.'),
    asOf: ms('Time at which silence was counted'),
    roots: texts('Peer IDs of the nodes whose ratings count.'),
    adjudicators: texts('Peer IDs of the nodes whose notes on others’ ratings take effect.'),
    roles: z.array(ProofRole),
    contracts: count('Number of publicly rated contracts of the subject.'),
    kept: count('Number of those without a breach.'),
    counterparties: count('Number of nodes that gave an active or late rating.'),
    inputs: z.array(ProofInput),
    given: z.array(z.object(input).openapi('GivenRating')).describe('Ratings by the subject.'),
    defaults: z.array(Defaulted),
    notes: z.array(ProofNote),
  })
  .openapi('ReputationProof');

const show = route('read', {
  operationId: 'getTrust',
  method: 'get',
  path: '/{id}',
  tags,
  summary: 'Retrieve the reputation of a user or node',
  description:
    'LBTAS: how often each level was given, per role; there is no average. Lists of active, late, defaulted and dismissed ratings are kept apart.',
  request: { params, query },
  responses: { 200: json(Trust, 'The reputation as seen from the roots.') },
});
const proof = route('read', {
  operationId: 'getTrustProof',
  method: 'get',
  path: '/{id}/proof',
  tags,
  summary: 'Retrieve the reproducible proof of a reputation',
  description:
    'Canonical JSON (RFC 8785): the same ratings, notes, roots, adjudicators and `asOf` give the same bytes on every node.',
  request: { params, query },
  responses: { 200: jsonOrMedia(Proof, 'The proof.') },
});

export interface TrustContext extends Pick<ApiContext, 'env' | 'log'> {
  readonly self: PeerId;
  readonly trust: TrustPort;
}

/** Characters of a proof that are sent at once. */
const CHUNK = 16 * 1024;

/** The text of a proof as sent: serialising megabytes of it yields to others in between. */
async function* proofBytes(proof: ReputationProof, turn: CpuTurn): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  let text = '';
  for (const piece of reputationText(proof)) {
    text += piece;
    if (text.length < CHUNK) continue;
    yield encoder.encode(text);
    text = '';
    await turn.pause();
  }
  yield encoder.encode(text);
}

export function trustRoutes({ self, trust, env, log }: TrustContext) {
  return router()
    .openapi(show, async (c) => {
      const subject = subjectOf(c.req.valid('param').id, self);
      const found = await trust.proof(subject, viewOf(c.req.valid('query')));
      return c.json(
        {
          ...reputationJson(found),
          percentKept: percentKept(found),
          asOf: isoTime(found.asOf),
          roots: [...found.roots],
          adjudicators: [...found.adjudicators],
          reliability: reliabilityJson(trust.reliability(nodeOf(subject) ?? subject)),
        },
        200,
      );
    })
    .openapi(proof, async (c) => {
      const subject = subjectOf(c.req.valid('param').id, self);
      const found = await trust.proof(subject, viewOf(c.req.valid('query')));
      const body = byteStream(proofBytes(found, new CpuTurn(env)), (error) =>
        log('a proof broke off', { err: error }),
      );
      return c.body(body, 200, { 'content-type': 'application/json' });
    });
}

/** Throws `query-invalid`. */
function viewOf({ roots, adjudicators, asOf }: z.output<typeof query>): Partial<ReputationView> {
  return {
    ...(roots === undefined ? {} : { roots: peersOf('roots', roots) }),
    ...(adjudicators === undefined ? {} : { adjudicators: peersOf('adjudicators', adjudicators) }),
    ...(asOf === undefined ? {} : { asOf: Date.parse(asOf) }),
  };
}

/** Throws `query-invalid`. */
function peersOf(name: string, list: string): PeerId[] {
  const names = list.split(',').map((one) => one.trim());
  const ids = names.filter((one) => one !== '').map(parsePeerId);
  const known = ids.filter((id) => id !== undefined);
  if (known.length !== ids.length)
    throw new AgrinetError('query-invalid', `${name}: must be comma-separated peer IDs`);
  return known;
}
