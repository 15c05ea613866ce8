import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { NOTE_REASONS, type NoteKind, type NoteReason } from '../../protocols/market/rating-notes.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { ApiEnv } from '../access.ts';
import { actorOf } from '../contract-inputs.ts';
import type { RatingsPort } from '../ports/trust.ts';
import { keyOf } from '../records.ts';
import { NoteJson, noteJson } from '../reputation-json.ts';
import { json, jsonInput, route, router } from '../route.ts';
import { idParam } from '../schemas.ts';

const tags = ['Ratings'];
const Input = z
  .object({
    why: z.enum(NOTE_REASONS).openapi({
      description: 'Reason, as a code: free text would describe somebody in public.',
    }),
  })
  .openapi('RatingNoteInput');
const TEXTS: Readonly<Record<NoteKind, { readonly summary: string; readonly description: string }>> = {
  contest: {
    summary: 'Contest a rating',
    description:
      'By the rated user, or its operator, at its own node. The rating still counts and is shown as contested.',
  },
  dismiss: {
    summary: 'Dismiss a rating',
    description:
      'By the rater or its operator: withdraws the rating everywhere. By the operator of another node: states its view, which has an effect wherever that node is an adjudicator. Nothing is deleted.',
  },
  uphold: {
    summary: 'Stand by a rating',
    description:
      'By anybody who can dismiss it; replaces an earlier note of the same node. By the rated user: withdraws a contest.',
  },
};
const step = <K extends NoteKind>(kind: K) =>
  route('write', {
    operationId: `${kind}Rating`,
    method: 'post',
    path: `/{id}/${kind}` as const,
    tags,
    ...TEXTS[kind],
    request: { params: idParam, body: jsonInput(Input) },
    responses: {
      200: json(NoteJson, 'The same note exists already.'),
      201: json(NoteJson, 'The new note.'),
    },
    codes: ['not-found'],
  });
const [contest, dismiss, uphold] = [step('contest'), step('dismiss'), step('uphold')] as const;

/** `/ratings/:id/…`: notes on a rating. */
export function ratingNoteRoutes({
  self,
  ratings,
}: {
  readonly self: PeerId;
  readonly ratings: RatingsPort;
}) {
  async function note(c: Context<ApiEnv>, kind: NoteKind, id: string, why: NoteReason) {
    const request = { rating: keyOf(id, self, 'ratings'), kind, why };
    const { note: written, changed } = await ratings.annotate(request, actorOf(c.get('principal')));
    const body = noteJson(written);
    return changed ? c.json(body, 201) : c.json(body, 200);
  }

  return router()
    .openapi(contest, (c) => note(c, 'contest', c.req.valid('param').id, c.req.valid('json').why))
    .openapi(dismiss, (c) => note(c, 'dismiss', c.req.valid('param').id, c.req.valid('json').why))
    .openapi(uphold, (c) => note(c, 'uphold', c.req.valid('param').id, c.req.valid('json').why));
}
