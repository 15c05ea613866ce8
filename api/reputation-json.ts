import { z } from '@hono/zod-openapi';
import { NOTE_KINDS, NOTE_REASONS, type NoteInput } from '../protocols/market/rating-notes.ts';
import { LBTAS } from '../protocols/market/lbtas.ts';
import type { Distribution } from '../protocols/market/rating-distribution.ts';
import type { Reputation, RoleReputation } from '../protocols/market/reputation.ts';
import { TRADE_ROLES } from '../protocols/market/roles.ts';
import { publicIdOf } from '../protocols/wire/ids.ts';
import { isoTime } from '../protocols/wire/iso-time.ts';
import { count, text, timestamp } from './schemas.ts';

const LEVELS = [-1, 0, 1, 2, 3, 4] as const;
const levels = Object.fromEntries(
  LEVELS.map((level, at) => [String(level), count(`Nodes at ${level}, ${LBTAS.levels[at] ?? ''}.`)]),
) as Record<`${(typeof LEVELS)[number]}`, z.ZodNumber>;
const time = z.iso.datetime().nullable();

export const DistributionJson = z
  .object({
    levels: z.object(levels).openapi('LbtasLevels', {
      description: 'Each rating node once, at the lower median of the ratings by its users.',
    }),
    nodes: count('Number of nodes whose users gave these ratings.'),
    ratings: count('Number of ratings.'),
    breaches: count('Number of nodes that gave any -1.'),
    firstRatedAt: time.describe('When the first of them was signed; null without one.'),
    lastRatedAt: time.describe('When the last of them was signed; null without one.'),
  })
  .openapi('RatingDistribution');
export const RoleJson = z
  .object({
    role: z.enum(TRADE_ROLES).openapi({ description: 'Side of the trade on which the subject was rated.' }),
    active: DistributionJson,
    late: DistributionJson,
    defaulted: DistributionJson,
    dismissed: DistributionJson,
    contested: count('Number of active and late ratings that the rated party contests.'),
  })
  .openapi('RoleReputation', {
    description: `\`active\`: ratings given in time and not withdrawn. \`late\`: ratings signed more than ${LBTAS.ratingDays} days after the settlement. \`defaulted\`: parties that gave no rating within ${LBTAS.ratingDays} days; each counts as ${LBTAS.defaulted}, although nobody gave it. \`dismissed\`: ratings that the rater’s node has withdrawn or an adjudicator has dismissed.`,
  });
export const ReputationJson = z.object({
  subject: text('Rated user, `user@peer-id`, or peer ID of the rated node.'),
  roles: z.array(RoleJson).openapi({ description: 'Roles in which there are ratings.' }),
  contracts: count('Number of contracts of which an active or late rating of the subject is public.'),
  contractsKept: count('Number of those without a breach, a rating of -1.'),
});
export const NoteJson = z
  .object({
    id: text('`<owner>.<local id>`.'),
    ratingId: text('Rating that it is about.'),
    kind: z
      .enum(NOTE_KINDS)
      .nullable()
      .describe('What the note says about the rating; null if it is invalid.'),
    by: text('Who says it, `user@peer-id`.'),
    why: z.enum(NOTE_REASONS).nullable().describe('Why; null if it is invalid.'),
    notedAt: timestamp('When it was signed.'),
    supersedes: z.string().nullable().describe('ID of the note that this one replaces.'),
    problem: z
      .string()
      .nullable()
      .describe('Why the note is invalid and has no effect; null if it is valid.'),
  })
  .openapi('RatingNote');

/** A reputation for clients: times as texts, levels by name. */
export function reputationJson({ subject, roles, contracts, kept }: Reputation) {
  return { subject, roles: roles.map(roleJson), contracts, contractsKept: kept };
}

export function noteJson(note: NoteInput): z.output<typeof NoteJson> {
  return {
    id: publicIdOf(note.id),
    ratingId: publicIdOf(note.rating),
    kind: note.kind,
    by: note.by,
    why: note.why,
    notedAt: isoTime(note.signedAt),
    supersedes: note.supersedes === null ? null : publicIdOf(note.supersedes),
    problem: note.problem,
  };
}

function roleJson({ role, contested, ...lists }: RoleReputation): z.output<typeof RoleJson> {
  const { active, late, defaulted, dismissed } = lists;
  return {
    role,
    active: distributionJson(active),
    late: distributionJson(late),
    defaulted: distributionJson(defaulted),
    dismissed: distributionJson(dismissed),
    contested,
  };
}

function distributionJson({
  levels: [harm, zero, one, two, three, four],
  first,
  last,
  ...counts
}: Distribution): z.output<typeof DistributionJson> {
  return {
    levels: { '-1': harm, 0: zero, 1: one, 2: two, 3: three, 4: four },
    ...counts,
    firstRatedAt: first === null ? null : isoTime(first),
    lastRatedAt: last === null ? null : isoTime(last),
  };
}
