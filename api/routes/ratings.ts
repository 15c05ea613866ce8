import { z } from '@hono/zod-openapi';
import { AgrinetError } from '../../protocols/errors.ts';
import { LBTAS } from '../../protocols/market/trust.ts';
import type { Rating } from '../../protocols/market/rating.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import { parseRecordKey, publicId, type RecordKey } from '../../protocols/wire/ids.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';
import type { RatingsPort } from '../ports/trust.ts';
import { keyOf } from '../records.ts';
import { json, jsonInput, route, router } from '../route.ts';
import { pageQuery } from '../schemas.ts';
import { actorOf } from './contracts.ts';
import { nextOf, placeOf } from '../paging.ts';
import { Shown } from '../left-out.ts';
import type { NoteLeftOut } from '../ports/left-out.ts';

const tags = ['Market'];
const party = z.string().min(1).max(192).optional();
/** A number, also as text, as old clients send it. */
const points = z
  .union([z.number(), z.string().max(8)])
  .optional()
  .openapi({ description: `LBTAS, a whole number from ${LBTAS.min} to ${LBTAS.max}` });
const RatingRow = z
  .object({
    id: z.string(),
    ratingId: z.string(),
    contractId: z.string(),
    from: z.string(),
    to: z.string(),
    score: z.number(),
    comment: z.string(),
    tags: z.array(z.string()),
    ratedAt: z.string(),
    /** The rating that this one corrects. */
    supersedes: z.string().nullable(),
    /** Why it is no valid rating and counts nowhere. */
    problem: z.string().nullable(),
  })
  .openapi('Rating');

const submit = route(
  'write',
  {
    operationId: 'submitRating',
    method: 'post',
    path: '/submitRating',
    tags,
    summary:
      'Rate the other party of a settled contract; a second rating by the same party corrects the first',
    request: {
      body: jsonInput(
        z.object({
          contractId: z.string().min(1).max(256).optional(),
          transactionId: z.string().min(1).max(256).optional(),
          from: party,
          raterId: party,
          to: party,
          score: points,
          rating: points,
          comment: z.string().max(8192).optional(),
          feedback: z.string().max(8192).optional(),
          tags: z.union([z.array(z.string().max(64)).max(32), z.string().max(2048)]).optional(),
        }),
      ),
    },
    responses: {
      200: json(RatingRow.extend({ message: z.string() }), 'The rating that stands says the same already'),
      201: json(
        RatingRow.extend({ message: z.string() }),
        'The new rating; `supersedes` names one it corrects',
      ),
    },
  },
  'ignored',
);
const list = route('read', {
  operationId: 'listRatings',
  method: 'get',
  path: '/ratings',
  tags,
  summary: 'Ratings, newest first; with `to` those of one user, in the order of their ids',
  request: { query: z.object({ to: z.string().min(1).max(192).optional(), ...pageQuery }) },
  responses: {
    200: json(z.object({ ratings: z.array(RatingRow), cursor: z.string().optional() }), 'One page'),
  },
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
      if (!changed) return c.json({ ...row, message: 'This rating stands already' }, 200);
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
    throw new AgrinetError('fields-invalid', `${name}: given twice, and not the same`);
  return value;
}

function numberOf(value: number | string): number {
  return typeof value === 'number' ? value : value.trim() === '' ? Number.NaN : Number(value);
}

function idOf(key: RecordKey | string | null): string | null {
  const parts = parseRecordKey(key);
  return parts === undefined ? null : publicId(parts);
}

function tagsOf(text: string): string[] {
  if (text === '') return [];
  try {
    const value: unknown = JSON.parse(text);
    if (Array.isArray(value) && value.every((one) => typeof one === 'string')) return value;
  } catch {
    return [text]; // plain text, as another node may write it
  }
  return [text];
}

function ratingJson(rating: Rating): z.output<typeof RatingRow> {
  const { from, to, score, comment, ratedAt, problem } = rating;
  const id = idOf(rating.id) ?? rating.id;
  return {
    id,
    ratingId: id,
    contractId: idOf(rating.contract) ?? '',
    from,
    to,
    score: Number.isFinite(score) ? score : 0,
    comment,
    tags: tagsOf(rating.tags),
    ratedAt: isoTime(ratedAt),
    supersedes: idOf(rating.supersedes),
    problem,
  };
}
