import { z } from '@hono/zod-openapi';
import { AgrinetError } from '../../protocols/errors.ts';
import { parseParty } from '../../protocols/market/party.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import { actingUser, type Principal } from '../access.ts';
import { callerOf, Conversation, conversationJson, Message, messageJson } from '../conversation-json.ts';
import { idempotentId } from '../limits/idempotency.ts';
import type { ConversationsPort } from '../ports/conversations.ts';
import { json, jsonInput, route, router } from '../route.ts';
import { wholeNumber } from '../schemas.ts';
import { parsePublicId } from '../../protocols/wire/ids.ts';
import { Shown } from '../left-out.ts';
import type { NoteLeftOut } from '../ports/left-out.ts';

const tags = ['Chat'];
const params = z.object({ conversationId: z.string().min(1).max(256) });
const user = z.string().min(1).max(192);

const send = route(
  'write',
  {
    operationId: 'sendMessage',
    method: 'post',
    path: '/{conversationId}',
    tags,
    summary: 'Say something, as a user of this node; the answer comes when it is on disk',
    request: {
      params,
      body: jsonInput(
        z.looseObject({
          from: user.nullish(),
          to: z.string().max(128).nullish(),
          type: z.enum(['text', 'image', 'file', 'ping']).default('text'),
          content: z.string().max(16_384),
          attachments: z.array(z.unknown()).max(64).nullish(),
        }),
      ),
    },
    responses: { 201: json(z.object({ message: Message }), 'The message') },
  },
  'ignored',
);
const list = route(
  'write',
  {
    operationId: 'listMessages',
    method: 'get',
    path: '/{conversationId}',
    tags,
    summary: 'Messages in their one order, oldest first: the newest, or those before a message',
    request: {
      params,
      query: z.object({
        limit: wholeNumber(1, 500).default(50),
        before: z.string().min(1).max(256).optional().openapi({ description: 'Id of a message' }),
      }),
    },
    responses: { 200: json(z.array(Message), 'The page, oldest first') },
  },
  'ignored',
);
const read = route('write', {
  operationId: 'markConversationRead',
  method: 'post',
  path: '/{conversationId}/read',
  tags,
  summary: 'Note the newest message that a user of this node has read',
  request: {
    params,
    body: jsonInput(z.looseObject({ messageId: z.string().min(1).max(256), userId: user.nullish() })),
  },
  responses: { 200: json(Conversation, 'The conversation; `read` names what each user has read') },
});

export interface MessageRoutesContext {
  readonly self: PeerId;
  readonly conversations: ConversationsPort;
  readonly leftOut: NoteLeftOut;
}

export function messageRoutes({ self, conversations, leftOut }: MessageRoutesContext) {
  /** Whom the caller speaks for; throws `forbidden`, and `fields-invalid` when nobody is named. */
  function speaker(principal: Principal, named: string | null | undefined, field: string): string {
    const party = parseParty(named);
    if (party !== undefined && party.node !== self)
      throw new AgrinetError('forbidden', `${field}: this node speaks for its own users only`);
    const acting = actingUser(principal, party?.user ?? named ?? undefined);
    if (acting === undefined)
      throw new AgrinetError('fields-invalid', `${field}: required, because this key acts for no user`);
    return `${acting}@${self}`;
  }

  return router()
    .openapi(send, async (c) => {
      const principal = c.get('principal');
      const { from, to, type, content, attachments } = c.req.valid('json');
      const sent = await conversations.send(callerOf(principal), c.req.valid('param').conversationId, {
        from: speaker(principal, from, 'from'),
        to: to ?? undefined,
        type,
        content,
        ...(attachments === null || attachments === undefined
          ? {}
          : { attachments: JSON.stringify(attachments) }),
        nonce: idempotentId(c),
      });
      return c.json({ message: messageJson(sent) }, 201);
    })
    .openapi(list, async (c) => {
      const { limit, before } = c.req.valid('query');
      const { conversationId } = c.req.valid('param');
      if (before !== undefined && parsePublicId(before, self) === undefined)
        throw new AgrinetError('query-invalid', 'before: the id of a message');
      const page = await conversations.messages(callerOf(c.get('principal')), conversationId, limit, before);
      const shown = new Shown(leftOut);
      const messages = shown.each(page, ({ key }) => key, messageJson);
      shown.warn(c);
      return c.json(messages, 200);
    })
    .openapi(read, async (c) => {
      const principal = c.get('principal');
      const { messageId, userId } = c.req.valid('json');
      const { conversationId } = c.req.valid('param');
      const who = speaker(principal, userId, 'userId');
      const noted = await conversations.markRead(callerOf(principal), conversationId, who, messageId);
      return c.json(conversationJson(noted), 200);
    });
}
