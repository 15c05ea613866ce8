import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { Env } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { type ApiEnv, isOperator, type Principal } from '../access.ts';
import { callerAddress } from '../limits/address.ts';
import { numbered, placeIn } from '../event-ids.ts';
import type { EventLogName, EventsPort, DeliverableEvent } from '../ports/events.ts';
import { OPERATOR_USER } from '../ports/jobs.ts';
import { json, jsonInput, media, route, router } from '../route.ts';
import { recordId } from '../schemas.ts';
import type { SseStreamLimits } from '../sse-stream.ts';
import { SseStreams, type SseLimits, type SseWatch } from '../sse.ts';

const tags = ['Events'];
const SSE = 'text/event-stream';
/** EventSource can send no headers, so here, and only here, a key may be in the query. */
const keyQuery = {
  'x-api-key': z
    .string()
    .max(512)
    .optional()
    .openapi({ description: 'The API key, for `EventSource`, which cannot send headers.' }),
};
const headers = z.object({
  'last-event-id': z.string().optional().openapi({
    description: 'ID of the last event received; the stream resumes after it, or sends `reset`.',
  }),
});
/** The events that exist. */
const TYPES: readonly string[] = [
  'conflict',
  'contract.update',
  'federation.checkpoint',
  'federation.node',
  'federation.sync',
  'message',
  'notification',
  'notification.read',
  'ping.update',
  'rating',
];
const ANY_TYPE = `(${TYPES.map((type) => type.replace('.', '\\.')).join('|')})`;
const conversationParam = z.object({ conversationId: recordId });
const STREAMS = ['streams-full', 'too-many-streams'] as const;

const all = route(
  'read',
  {
    operationId: 'streamEvents',
    method: 'get',
    path: '/events',
    tags,
    summary: 'Stream events of this node (server-sent events)',
    description:
      'Event types: `federation.sync`, `federation.node`, `federation.checkpoint` (operator only), `conflict`, `notification`, `notification.read`, `ping.update`, and `ping` every 15 s. What somebody else’s step is to a user is told to that user alone, with its line in `GET /notifications` as data: `contract.update`, `message`, `rating`, and `notification` for the rest. `reset` means that the stream cannot resume after `Last-Event-ID`: reload the data.',
    request: {
      headers,
      query: z.object({
        types: z
          .string()
          .regex(
            new RegExp(`^${ANY_TYPE}(,${ANY_TYPE})*$`),
            `must be a comma-separated list of ${TYPES.join(', ')}`,
          )
          .optional()
          .openapi({ description: 'Only these event types, comma-separated.' }),
        ...keyQuery,
      }),
    },
    responses: { 200: media('Events, until one side closes the connection.', SSE) },
    codes: STREAMS,
  },
  'ignored',
);
const conversation = route(
  'write',
  {
    operationId: 'streamConversation',
    method: 'get',
    path: '/stream/{conversationId}',
    tags,
    summary: 'Stream the messages of a conversation (server-sent events)',
    description:
      'Event types: `message` with `{"message": …}`, `token` with `{"id", "token"}` for a part of a message being written (not stored, no event ID), and `ping` every 15 s.',
    request: { headers, params: conversationParam, query: z.object(keyQuery) },
    responses: { 200: media('Events, until one side closes the connection.', SSE) },
    codes: STREAMS,
  },
  'ignored',
);
const tokens = route('write', {
  operationId: 'relayToken',
  method: 'post',
  path: '/stream/{conversationId}/tokens',
  tags,
  summary: 'Relay a part of a message being written to the listeners; it is not stored',
  request: {
    params: conversationParam,
    body: jsonInput(
      z.object({
        id: z.string().min(1).max(128).openapi({ description: 'ID of the message being written.' }),
        token: z.string().max(4096).openapi({ description: 'Next part of its text.' }),
      }),
    ),
  },
  responses: { 202: json(z.object({ relayed: z.literal(true) }).openapi('RelayedToken'), 'Relayed.') },
});

/** What the routes use in addition to the port. */
export interface EventRoutesContext {
  readonly env: Pick<Env, 'monotonic' | 'after'>;
  readonly events: EventsPort;
  readonly limits: { readonly trustProxy: boolean };
  readonly metrics?: { readonly streams: SseWatch };
  /** Other limits than the usual, for tests. */
  readonly sse?: Partial<SseLimits & SseStreamLimits>;
}

export function eventRoutes({ env, events, limits, metrics, sse }: EventRoutesContext) {
  const streams = new SseStreams(env, events.closing, sse, metrics?.streams);

  const holderOf = (c: Context<ApiEnv>): string => {
    const { id } = c.get('principal');
    return id === 'anonymous' ? `address:${callerAddress(c, limits.trustProxy) ?? ''}` : id;
  };
  /** The record key of a conversation that the caller may hear; to others it does not exist. */
  async function heard(principal: Principal, conversationId: string): Promise<string> {
    const key = await events.mayHear(principal, conversationId);
    if (key === undefined) throw new AgrinetError('not-found', 'Not found');
    return key;
  }

  function listen(
    c: Context<ApiEnv>,
    logs: readonly EventLogName[],
    lastEventId: string | undefined,
    wants: (event: DeliverableEvent) => boolean,
  ): Response {
    return streams.open(c, holderOf(c), (push) => {
      const after = placeIn(events, logs, lastEventId);
      return events.subscribe({ logs, after, wants }, numbered(events, logs, after, push));
    });
  }

  return router()
    .openapi(all, (c) => {
      const principal = c.get('principal');
      const { types } = c.req.valid('query');
      const chosen = types === undefined ? undefined : new Set(types.split(','));
      const wants = (event: DeliverableEvent): boolean =>
        (chosen === undefined || chosen.has(event.type)) && maySee(principal, event);
      // Callers without a key get nothing of the other log.
      const logs: EventLogName[] = principal.id === 'anonymous' ? ['public'] : ['public', 'private'];
      return listen(c, logs, c.req.valid('header')['last-event-id'], wants);
    })
    .openapi(conversation, async (c) => {
      const key = await heard(c.get('principal'), c.req.valid('param').conversationId);
      const wants = (event: DeliverableEvent): boolean => event.audience?.conversation === key;
      return listen(c, ['private'], c.req.valid('header')['last-event-id'], wants);
    })
    .openapi(tokens, async (c) => {
      const key = await heard(c.get('principal'), c.req.valid('param').conversationId);
      const { id, token } = c.req.valid('json');
      events.relayToken(key, { id, token });
      return c.json({ relayed: true } as const, 202);
    });
}

/** Whether an event is for this caller's feed of all events. Conversations have streams of their own. */
export function maySee(principal: Principal, { audience }: DeliverableEvent): boolean {
  if (audience === undefined) return true;
  if (audience.conversation !== undefined) return false;
  if (audience.partyOnly === true) return audience.userId === principal.userId;
  if (isOperator(principal)) return true;
  if (audience.operatorOnly === true || audience.userId === OPERATOR_USER) return false;
  return audience.userId === undefined || audience.userId === principal.userId;
}
