import { z } from '@hono/zod-openapi';
import { AgrinetError } from '../../protocols/errors.ts';
import { LBTAS } from '../../protocols/market/lbtas.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { RatingsPort } from '../ports/trust.ts';
import { keyOf } from '../records.ts';
import { json, jsonInput, route, router } from '../route.ts';
import { ratingJson, RatingRow } from '../rating-json.ts';
import { pageOf, pageQuery, text } from '../schemas.ts';
import { actorOf } from '../contract-inputs.ts';
import { nextOf, placeOf } from '../paging.ts';
import { Shown } from '../left-out.ts';
import type { NoteLeftOut } from '../ports/left-out.ts';

const tags = ['Ratings'];
const party = z.string().min(1).max(192).optional();
const points = z
  .union([z.number(), z.string().max(8)])
  .optional()
  .openapi({
    type: 'integer',
    minimum: LBTAS.min,
    maximum: LBTAS.max,
    description: `LBTAS level, ${LBTAS.min} to ${LBTAS.max}.`,
  });
const Receipt = RatingRow.extend({ message: text('What was done.') }).openapi('RatingReceipt');

const submit = route(
  'write',
  {
    operationId: 'submitRating',
    method: 'post',
    path: '/submitRating',
    tags,
    summary: 'Rate the other party of a settled contract, or correct an earlier rating',
    description:
      'Requires `contractId` and `score`, or `transactionId` and `rating`. A score of -1 records a breach and needs its reason, of at most 500 words, in `comment`: only the parties and their operators can read it.',
    request: {
      body: jsonInput(
        z
          .object({
            contractId: z.string().min(1).max(256).optional().openapi({ description: 'ID of the contract.' }),
            transactionId: z
              .string()
              .min(1)
              .max(256)
              .optional()
              .openapi({ description: 'Alias of `contractId`.' }),
            from: party.openapi({ description: 'Rater; by default the user of the key.' }),
            raterId: party.openapi({ description: 'Alias of `from`.' }),
            to: party.openapi({ description: 'Rated user; by default the other party.' }),
            score: points,
            rating: points.openapi({ description: 'Alias of `score`.' }),
            comment: z
              .string()
              .max(8192)
              .optional()
              .openapi({ description: 'Public comment; with -1 the reason, which is not public.' }),
            feedback: z.string().max(8192).optional().openapi({ description: 'Alias of `comment`.' }),
            tags: z
              .union([z.array(z.string().max(64)).max(32), z.string().max(2048)])
              .optional()
              .openapi({
                type: 'array',
                items: { type: 'string', maxLength: 64 },
                maxItems: 32,
                description: 'Tags.',
              }),
          })
          .openapi('RatingInput'),
      ),
    },
    responses: {
      200: json(Receipt, 'The same rating exists already.'),
      201: json(Receipt, 'The new rating; `supersedes` is the rating it corrects.'),
    },
    codes: [
      'contract-full',
      'contract-unsettled',
      'not-a-party',
      'not-found',
      'rating-score',
      'reason-required',
      'record-merging',
      'rejoining',
    ],
  },
  'ignored',
);
const list = route('read', {
  operationId: 'listRatings',
  method: 'get',
  path: '/ratings',
  tags,
  summary: 'List ratings',
  description: 'Newest first; with `to`, in the order of their IDs.',
  request: {
    query: z.object({
      to: z.string().min(1).max(192).optional().openapi({ description: 'Ratings of this user.' }),
      ...pageQuery,
    }),
  },
  responses: { 200: json(pageOf('ratings', RatingRow), 'A page of ratings.') },
});

export interface RatingsContext {
  readonly self: PeerId;
  readonly ratings: RatingsPort;
  readonly leftOut: NoteLeftOut;
}

export function ratingRoutes({ self, ratings, leftOut }: RatingsContext) {
  return router()
    .openapi(submit, async (c) => {
      const body = c.req.valid('json');
      const id = oneOf('contractId', body.contractId, body.transactionId);
      const score = numberOf(oneOf('score', body.score, body.rating));
      const request = {
        contract: keyOf(id, self, 'contracts'),
        from: body.from ?? body.raterId,
        to: body.to,
        score,
        comment: body.comment ?? body.feedback,
        tags: typeof body.tags === 'string' ? body.tags : body.tags && JSON.stringify(body.tags),
      };
      const { rating, changed } = await ratings.submit(request, actorOf(c.get('principal')));
      const row = ratingJson(rating);
      if (!changed) return c.json({ ...row, message: 'The same rating exists already' }, 200);
      const message = row.supersedes === null ? 'Rating submitted' : 'Rating corrected';
      return c.json({ ...row, message }, 201);
    })
    .openapi(list, async (c) => {
      const { to, limit, cursor: from } = c.req.valid('query');
      const subject = to === undefined || to.includes('@') ? to : `${to}@${self}`;
      const { items, unread, cursor } = await ratings.list(subject, limit, placeOf(c, from));
      const shown = new Shown(leftOut);
      shown.missed(unread);
      const rows = shown.each(items, ({ id }) => id, ratingJson);
      shown.warn(c);
      return c.json({ ratings: rows, ...nextOf(c, cursor) }, 200);
    });
}

function oneOf<T>(name: string, given: T | undefined, old: T | undefined): T {
  const value = given ?? old;
  if (value === undefined) throw new AgrinetError('fields-invalid', `${name}: required`);
  if (given !== undefined && old !== undefined && given !== old)
    throw new AgrinetError('fields-invalid', `${name}: given twice with different values`);
  return value;
}

function numberOf(value: number | string): number {
  return typeof value === 'number' ? value : value.trim() === '' ? Number.NaN : Number(value);
}
