import { z } from '@hono/zod-openapi';
import { AgrinetError } from '../../protocols/errors.ts';
import { nodeOf } from '../../protocols/market/party.ts';
import { LBTAS, ratingDeadline } from '../../protocols/market/lbtas.ts';
import { roleOf, TRADE_ROLES } from '../../protocols/market/roles.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import { publicIdOf } from '../../protocols/wire/ids.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';
import { actingUser, type Principal } from '../access.ts';
import { actorOf } from '../contract-inputs.ts';
import { Shown } from '../left-out.ts';
import { nextOf, placeOf } from '../paging.ts';
import type { ContractsPort, ContractView } from '../ports/contracts.ts';
import type { NoteLeftOut } from '../ports/left-out.ts';
import type { RatingsPort, TrustPort } from '../ports/trust.ts';
import { ratingJson, RatingRow } from '../rating-json.ts';
import { NoteJson, noteJson, ReputationJson, reputationJson } from '../reputation-json.ts';
import { keyOf } from '../records.ts';
import { json, route, router } from '../route.ts';
import { idParam, pageOf, pageQuery, text, timestamp } from '../schemas.ts';
import { subjectOf } from '../subject.ts';

const tags = ['Ratings'];
/** Own ratings that `/ratings/me` names, the newest. */
const GIVEN = 500;
/** Notes that are shown with a rating, the newest. */
const NOTES = 500;

const Scale = z
  .object({
    levels: z.array(
      z.object({ score: z.number().int(), name: text('Name of the level.') }).openapi('LbtasLevel'),
    ),
    ratingDays: z.number().int().describe('Days after the settlement within which a rating is in time.'),
    defaulted: z.number().int().describe('Level that counts for a party that gave no rating.'),
  })
  .openapi('RatingScale');
const Annotated = RatingRow.extend({
  notes: z.array(NoteJson).openapi({ description: `Notes of nodes on the rating, the newest ${NOTES}.` }),
  reason: z
    .string()
    .nullable()
    .describe('Reason of a -1, for the parties and their operators; null for everybody else.'),
}).openapi('AnnotatedRating');
const Mine = z
  .object({
    user: text('Whose ratings these are, `user@peer-id`.'),
    received: ReputationJson.openapi('Reputation'),
    given: z.array(RatingRow).openapi({ description: `The newest ${GIVEN} ratings by the user.` }),
  })
  .openapi('OwnRatings');
const Pending = z
  .object({
    contractId: text('Settled contract.'),
    to: text('Party that the user can rate, `user@peer-id`.'),
    role: z.enum(TRADE_ROLES).openapi({ description: 'Side of that party.' }),
    settledAt: timestamp('When both parties had settled.'),
    deadline: timestamp(
      `Until then a rating is in time; who is silent counts as having given ${LBTAS.defaulted}.`,
    ),
  })
  .openapi('PendingRating');
const ofUser = z.string().min(1).max(128).optional().openapi({
  description: 'User of this node, for operators; default: the user of the key.',
});

const scale = route('open', {
  operationId: 'getRatingScale',
  method: 'get',
  path: '/scale',
  tags,
  summary: 'Retrieve the LBTAS scale',
  responses: { 200: json(Scale, 'The levels, from -1 to 4.') },
});
const me = route('known', {
  operationId: 'getOwnRatings',
  method: 'get',
  path: '/me',
  tags,
  summary: 'Retrieve the caller’s reputation and the ratings the caller gave',
  request: { query: z.object({ userId: ofUser }) },
  responses: { 200: json(Mine, 'The caller’s ratings.') },
});
const pending = route('known', {
  operationId: 'listPendingRatings',
  method: 'get',
  path: '/me/pending',
  tags,
  summary: 'List settled contracts that the caller has not rated',
  description: 'A page may hold fewer items than its limit, or none, and still have a `cursor`.',
  request: { query: z.object({ userId: ofUser, ...pageQuery }) },
  responses: { 200: json(pageOf('pending', Pending), 'A page of contracts.') },
});
const ofSubject = route('read', {
  operationId: 'getUserRatings',
  method: 'get',
  path: '/users/{id}',
  tags,
  summary: 'Retrieve how a user or node has been rated',
  description: 'Counts only, per role: how often each LBTAS level was given.',
  request: { params: idParam },
  responses: { 200: json(ReputationJson.openapi('UserRatings'), 'The counts.') },
});
const one = route('read', {
  operationId: 'getRating',
  method: 'get',
  path: '/{id}',
  tags,
  summary: 'Retrieve a rating with the notes on it',
  request: { params: idParam },
  responses: { 200: json(Annotated, 'The rating.') },
});

export interface RatingViewsContext {
  readonly self: PeerId;
  readonly ratings: RatingsPort;
  readonly contracts: Pick<ContractsPort, 'list'>;
  readonly trust: Pick<TrustPort, 'proof'>;
  readonly leftOut: NoteLeftOut;
}

/** `/ratings/…`: reading ratings. */
export function ratingViewRoutes({ self, ratings, contracts, trust, leftOut }: RatingViewsContext) {
  /** What a user of this node could still rate in a contract. */
  function pendingIn({ state, held }: ContractView, party: string, rated: ReadonlySet<string>) {
    if (held?.verdict.state !== 'settled' || !held.contract.parties.includes(party)) return [];
    if (rated.has(state.key)) return [];
    const to = held.contract.parties.find((each) => each !== party) ?? '';
    const settles = new Set<string>(held.verdict.receipt);
    const times = held.statements.filter((s) => settles.has(s.transition.hash)).map((s) => s.transition.at);
    const settledAt = Math.max(...times);
    const item: z.output<typeof Pending> = {
      contractId: publicIdOf(state.key),
      to,
      role: roleOf(to, held.contract),
      settledAt: isoTime(settledAt),
      deadline: isoTime(ratingDeadline(settledAt)),
    };
    return [item];
  }

  return router()
    .openapi(scale, (c) => {
      const levels = LBTAS.levels.map((name, at) => ({ score: LBTAS.min + at, name }));
      return c.json({ levels, ratingDays: LBTAS.ratingDays, defaulted: LBTAS.defaulted }, 200);
    })
    .openapi(pending, async (c) => {
      const { userId, limit, cursor: from } = c.req.valid('query');
      const user = userOf(c.get('principal'), userId, self);
      const page = await contracts.list(
        { listingId: undefined, requestId: undefined },
        limit,
        placeOf(c, from),
        { operator: false, userId: user },
      );
      const shown = new Shown(leftOut);
      shown.missed(page.unread);
      const party = `${user}@${self}`;
      const rated = new Set((await ratings.by(party)).map(({ contract }) => contract));
      const found = page.items.map((view) => pendingIn(view, party, rated));
      shown.warn(c);
      return c.json({ pending: found.flat(), ...nextOf(c, page.cursor) }, 200);
    })
    .openapi(me, async (c) => {
      const user = `${userOf(c.get('principal'), c.req.valid('query').userId, self)}@${self}`;
      const received = reputationJson(await trust.proof(user));
      const given = (await ratings.by(user)).toSorted((a, b) => b.signedAt - a.signedAt).slice(0, GIVEN);
      return c.json({ user, received, given: given.map(ratingJson) }, 200);
    })
    .openapi(ofSubject, async (c) => {
      const subject = subjectOf(c.req.valid('param').id, self);
      return c.json(reputationJson(await trust.proof(subject)), 200);
    })
    .openapi(one, async (c) => {
      const rating = await ratings.get(keyOf(c.req.valid('param').id, self, 'ratings'));
      if (rating === undefined) throw new AgrinetError('not-found', 'Not found');
      const all = (await ratings.notesOf(rating)).toSorted((a, b) => b.signedAt - a.signedAt);
      const notes = all.slice(0, NOTES).map(noteJson);
      const reason = (await ratings.reasonOf(rating, actorOf(c.get('principal')))) ?? null;
      return c.json({ ...ratingJson(rating), notes, reason }, 200);
    });
}

/** The user a caller asks for: itself, or for operators any. Throws `query-invalid`, `forbidden`. */
function userOf(principal: Principal, asked: string | undefined, self: PeerId): string {
  const user = actingUser(principal, asked);
  if (user === undefined)
    throw new AgrinetError('query-invalid', 'userId: required with a key that belongs to no user');
  if (nodeOf(`${user}@${self}`) === undefined)
    throw new AgrinetError('query-invalid', 'userId: must be the name of a user');
  return user;
}
