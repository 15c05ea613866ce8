import { z } from '@hono/zod-openapi';
import { AgrinetError } from '../../protocols/errors.ts';
import { parseParty } from '../../protocols/market/party.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import { actingUser, type Principal } from '../access.ts';
import {
  callerOf,
  Conversation,
  conversationJson,
  Message,
  MESSAGE_TYPES,
  messageJson,
} from '../conversation-json.ts';
import { idempotentId } from '../limits/idempotency.ts';
import type { ConversationsPort } from '../ports/conversations.ts';
import type { ApiContext } from '../context.ts';
import { messageForms } from '../form-message.ts';
import { FileInput } from '../attachment-inputs.ts';
import { messageItems } from '../message-items.ts';
import type { AttachmentsPort } from '../ports/attachments.ts';
import { json, jsonInput, jsonOrForm, route, router } from '../route.ts';
import { recordId, wholeNumber } from '../schemas.ts';
import { parsePublicId } from '../../protocols/wire/ids.ts';
import { Shown } from '../left-out.ts';
import type { NoteLeftOut } from '../ports/left-out.ts';

const tags = ['Conversations'];
const SentMessage = z.object({ message: Message }).openapi('SentMessage');
const params = z.object({ conversationId: recordId });
const user = z.string().min(1).max(192);

const sendRoute = (forms: ReturnType<typeof messageForms>) =>
  route(
    'write',
    {
      operationId: 'sendMessage',
      method: 'post',
      path: '/{conversationId}',
      tags,
      summary: 'Send a message',
      description:
        'The response is sent once the message is on disk. A `multipart/form-data` body with a `file` works too; its text is `content` or `message`.',
      middleware: [forms],
      request: {
        params,
        body: jsonOrForm(
          z
            .looseObject({
              from: user
                .nullish()
                .openapi({ description: 'Sender, a user of this node; by default the user of the key.' }),
              to: z
                .string()
                .max(128)
                .nullish()
                .openapi({ description: 'Recipient; by default all participants.' }),
              type: z.enum(MESSAGE_TYPES).optional().openapi({
                default: 'text',
                description: 'By default `text`, or with a `file` `image` or `file`.',
              }),
              file: FileInput.nullish().openapi({ description: 'A file that is sent with the message.' }),
              content: z.string().max(16_384).openapi({ description: 'Text of the message.' }),
              attachments: z
                .array(z.unknown())
                .max(64)
                .nullish()
                .openapi({
                  type: ['array', 'null'],
                  items: { $ref: '#/components/schemas/JsonValue' },
                  maxItems: 64,
                  description:
                    'Uploads, named by `{"sha256": …, "name": …}`, and anything else that clients understand.',
                }),
            })
            .openapi('MessageCreate', { additionalProperties: false }),
        ),
      },
      responses: { 201: json(SentMessage, 'The new message.') },
      codes: ['attachments-full', 'body-malformed', 'record-ended'],
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
    summary: 'List messages, oldest first',
    description: 'The newest messages of the conversation, or those before a given one.',
    request: {
      params,
      query: z.object({
        limit: wholeNumber(1, 500).default(50).openapi({ description: 'Maximum number of messages.' }),
        before: z
          .string()
          .min(1)
          .max(256)
          .optional()
          .openapi({ description: 'ID of a message; returns those before it.' }),
      }),
    },
    responses: { 200: json(z.array(Message), 'The messages, in the same order on every node.') },
  },
  'ignored',
);
const read = route('write', {
  operationId: 'markConversationRead',
  method: 'post',
  path: '/{conversationId}/read',
  tags,
  summary: 'Mark a conversation as read up to a message',
  request: {
    params,
    body: jsonInput(
      z
        .looseObject({
          messageId: z.string().min(1).max(256).openapi({ description: 'ID of the newest message read.' }),
          userId: user
            .nullish()
            .openapi({ description: 'User of this node; by default the user of the key.' }),
        })
        .openapi({ additionalProperties: false }),
    ),
  },
  responses: { 200: json(Conversation, 'The updated conversation.') },
  codes: ['record-ended', 'record-merging'],
});

export interface MessageRoutesContext {
  readonly env: ApiContext['env'];
  readonly self: PeerId;
  readonly limits: Pick<ApiContext['limits'], 'publicUrl'>;
  readonly attachments: AttachmentsPort;
  readonly conversations: ConversationsPort;
  readonly leftOut: NoteLeftOut;
}

export function messageRoutes(node: MessageRoutesContext) {
  const { self, conversations, leftOut } = node;
  const base = node.limits.publicUrl ?? '';
  /** The user for whom the caller acts; throws `forbidden`, and `fields-invalid` when none is named. */
  function speaker(principal: Principal, named: string | null | undefined, field: string): string {
    const party = parseParty(named);
    if (party !== undefined && party.node !== self)
      throw new AgrinetError('forbidden', `${field}: must be a user of this node`);
    const acting = actingUser(principal, party?.user ?? named ?? undefined);
    if (acting === undefined)
      throw new AgrinetError('fields-invalid', `${field}: required, because this key belongs to no user`);
    return `${acting}@${self}`;
  }

  return router()
    .openapi(sendRoute(messageForms(node.env)), async (c) => {
      const principal = c.get('principal');
      const { from, to, type, content, file, attachments } = c.req.valid('json');
      const { conversationId } = c.req.valid('param');
      const as = speaker(principal, from, 'from');
      const sender = { principal, conversationId, from: as };
      const items = await messageItems(node, sender, { file, attachments });
      const sent = await conversations.send(callerOf(principal), conversationId, {
        from: as,
        to: to ?? undefined,
        type: type ?? (items?.isPicture === true ? 'image' : file ? 'file' : 'text'),
        content,
        ...(items === undefined ? {} : { attachments: JSON.stringify(items.list) }),
        nonce: idempotentId(c),
      });
      return c.json({ message: messageJson(sent, base) }, 201);
    })
    .openapi(list, async (c) => {
      const { limit, before } = c.req.valid('query');
      const { conversationId } = c.req.valid('param');
      if (before !== undefined && parsePublicId(before, self) === undefined)
        throw new AgrinetError('query-invalid', 'before: must be the ID of a message');
      const page = await conversations.messages(callerOf(c.get('principal')), conversationId, limit, before);
      const shown = new Shown(leftOut);
      const messages = shown.each(
        page,
        ({ key }) => key,
        (state) => messageJson(state, base),
      );
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
