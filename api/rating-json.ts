import { z } from '@hono/zod-openapi';
import type { Rating } from '../protocols/market/rating.ts';
import { LBTAS } from '../protocols/market/lbtas.ts';
import { TRADE_ROLES } from '../protocols/market/roles.ts';
import { parseRecordKey, publicId, type RecordKey } from '../protocols/wire/ids.ts';
import { isoTime } from '../protocols/wire/iso-time.ts';
import { number, text, texts, timestamp } from './schemas.ts';

export const RatingRow = z
  .object({
    id: text('`<owner>.<local id>`.'),
    ratingId: text('Same as `id`.'),
    contractId: text('Contract that the rating is about.'),
    from: text('Rater, `user@peer-id`.'),
    to: text('Rated user, `user@peer-id`.'),
    score: number(`LBTAS level, ${LBTAS.min} to ${LBTAS.max}.`),
    role: z
      .enum(TRADE_ROLES)
      .nullable()
      .describe('Side of the trade on which the user was rated; null if the rating is invalid.'),
    comment: text('Public comment; may be empty, and is for -1.'),
    tags: texts('Tags.'),
    ratedAt: timestamp('When it was given.'),
    supersedes: z.string().nullable().describe('ID of the rating that this one corrects.'),
    problem: z
      .string()
      .nullable()
      .describe('Why the rating is invalid and does not count; null if it is valid.'),
  })
  .openapi('Rating');

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

export function ratingJson(rating: Rating): z.output<typeof RatingRow> {
  const { from, to, score, role, comment, ratedAt, problem } = rating;
  const id = idOf(rating.id) ?? rating.id;
  return {
    id,
    ratingId: id,
    contractId: idOf(rating.contract) ?? '',
    from,
    to,
    score: Number.isFinite(score) ? score : 0,
    role,
    // For a -1 it would be a public reason, whoever wrote it there.
    comment: score === LBTAS.min ? '' : comment,
    tags: tagsOf(rating.tags),
    ratedAt: isoTime(ratedAt),
    supersedes: idOf(rating.supersedes),
    problem,
  };
}
