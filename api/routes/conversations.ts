import { z } from '@hono/zod-openapi';
import { AgrinetError } from '../../protocols/errors.ts';
import type { Principal } from '../access.ts';
import { callerOf, Conversation, conversationJson } from '../conversation-json.ts';
import { idempotentId } from '../limits/idempotency.ts';
import type { ConversationsPort } from '../ports/conversations.ts';
import { json, jsonInput, route, router } from '../route.ts';
import { idParam, pageQuery, text } from '../schemas.ts';
import { nextOf, placeOf } from '../paging.ts';
import { Shown } from '../left-out.ts';
import type { NoteLeftOut } from '../ports/left-out.ts';

const tags = ['Conversations'];
const title = z.string().min(1).max(256).openapi({ description: 'New title.' });
const Hidden = z
  .object({
    id: text('ID of the message.'),
    reason: z.enum(['from-malformed', 'from-foreign']),
  })
  .openapi('HiddenMessage', {
    description: 'A message that is not shown because it comes from another node than its sender’s.',
  });
const ConversationDetails = Conversation.extend({ hidden: z.array(Hidden) }).openapi('ConversationDetails');
const titleBody = jsonInput(
  z.looseObject({ title }).openapi('ConversationUpdate', { additionalProperties: false }),
);
const changed = { 200: json(Conversation, 'The updated conversation.') };
const EDITING = ['record-ended', 'record-merging'] as const;

const CreateBody = z
  .looseObject({
    title: z.string().max(256).nullish().openapi({ description: 'Title; `New Chat` by default.' }),
    participants: z
      .array(z.string().min(1).max(192))
      .max(64)
      .nullish()
      .openapi({ description: 'Participants beside the caller.' }),
    metadata: z
      .union([z.string().max(8192), z.record(z.string(), z.unknown())])
      .nullish()
      .openapi({
        type: ['object', 'null'],
        additionalProperties: { $ref: '#/components/schemas/JsonValue' },
        description: 'Metadata, stored unchanged.',
      }),
  })
  .openapi('ConversationCreate', { additionalProperties: false });
const create = route(
  'write',
  {
    operationId: 'createConversation',
    method: 'post',
    path: '/',
    tags,
    summary: 'Create a private conversation',
    description:
      'Participants on other nodes are named `user@peer-id`; their nodes must be registered here, otherwise 409 `party-unknown`. The participants cannot be changed later. Without participants, the conversation is the caller’s alone.',
    request: {
      body: jsonInput(CreateBody),
    },
    responses: { 201: json(Conversation, 'The new conversation.') },
    codes: ['party-unknown'],
  },
  'ignored',
);
const list = route(
  'write',
  {
    operationId: 'listConversations',
    method: 'get',
    path: '/',
    tags,
    summary: 'List the caller’s conversations',
    description:
      'Most recently changed first; operators see all conversations. A page may be short: while there are more, the `x-next-cursor` header has the `cursor` of the next page.',
    request: {
      query: z.object({
        participant: z
          .string()
          .min(1)
          .max(192)
          .optional()
          .openapi({ description: 'Only with this participant.' }),
        ...pageQuery,
      }),
    },
    responses: { 200: json(z.array(Conversation), 'A page of conversations.') },
  },
  'ignored',
);
const read = route(
  'write',
  {
    operationId: 'getConversation',
    method: 'get',
    path: '/{id}',
    tags,
    summary: 'Retrieve a conversation, with the newest message each user has read',
    request: { params: idParam },
    responses: { 200: json(ConversationDetails, 'The conversation.') },
  },
  'ignored',
);
const put = route(
  'write',
  {
    operationId: 'renameConversation',
    method: 'put',
    path: '/{id}',
    tags,
    summary: 'Rename a conversation for all participants',
    request: { params: idParam, body: titleBody },
    responses: changed,
    codes: EDITING,
  },
  'ignored',
);
const patch = route('write', {
  operationId: 'updateConversation',
  method: 'patch',
  path: '/{id}',
  tags,
  summary: 'Rename a conversation for all participants',
  request: { params: idParam, body: titleBody },
  responses: changed,
  codes: EDITING,
});
const pin = route(
  'write',
  {
    operationId: 'pinConversation',
    method: 'post',
    path: '/{id}/pin',
    tags,
    summary: 'Pin or unpin a conversation for all participants',
    request: {
      params: idParam,
      body: jsonInput(
        z
          .looseObject({ pinned: z.boolean().openapi({ description: '`false` unpins it.' }) })
          .openapi({ additionalProperties: false }),
      ),
    },
    responses: changed,
    codes: EDITING,
  },
  'ignored',
);
const archive = route(
  'write',
  {
    operationId: 'archiveConversation',
    method: 'delete',
    path: '/{id}',
    tags,
    summary: 'Archive a conversation for all participants',
    description:
      'It disappears from lists and takes no more messages. Its messages are not erased: they stay on the participants’ nodes and can still be retrieved by ID.',
    request: { params: idParam },
    responses: { 204: { description: 'Archived.' } },
    codes: EDITING,
  },
  'ignored',
);

type Asked = Parameters<ConversationsPort['create']>[1];
type Edit = Parameters<ConversationsPort['edit']>[2];

/** A conversation as a client asks for it. */
function askedOf({ title: named, participants, metadata }: z.output<typeof CreateBody>): Asked {
  return {
    title: (named ?? '').trim() || 'New Chat',
    participants: participants ?? [],
    ...(metadata === null || metadata === undefined
      ? {}
      : { metadata: typeof metadata === 'string' ? metadata : JSON.stringify(metadata) }),
  };
}

export function conversationRoutes({
  conversations,
  leftOut,
}: {
  readonly conversations: ConversationsPort;
  readonly leftOut: NoteLeftOut;
}) {
  const edited = async (principal: Principal, id: string, edit: Edit) =>
    conversationJson(await conversations.edit(callerOf(principal), id, edit));

  return router()
    .openapi(create, async (c) => {
      const asked = askedOf(c.req.valid('json'));
      const made = await conversations.create(callerOf(c.get('principal')), asked, idempotentId(c));
      const answer = conversationJson(made);
      c.header('location', `/conversations/${answer.id}`);
      return c.json(answer, 201);
    })
    .openapi(list, async (c) => {
      const query = c.req.valid('query');
      const page = await conversations.list(callerOf(c.get('principal')), {
        ...query,
        cursor: placeOf(c, query.cursor),
      });
      const { cursor } = nextOf(c, page.cursor);
      if (cursor !== undefined) c.header('x-next-cursor', cursor);
      const shown = new Shown(leftOut);
      shown.missed(page.unread);
      const all = shown.each(page.items, ({ state }) => state.key, conversationJson);
      shown.warn(c);
      return c.json(all, 200);
    })
    .openapi(read, async (c) => {
      const found = await conversations.find(callerOf(c.get('principal')), c.req.valid('param').id);
      if (found === undefined) throw new AgrinetError('not-found', 'Not found');
      const hidden = [...(await conversations.hidden(found))];
      return c.json({ ...conversationJson(found), hidden }, 200);
    })
    .openapi(put, async (c) => {
      const { title: given } = c.req.valid('json');
      return c.json(await edited(c.get('principal'), c.req.valid('param').id, { title: given }), 200);
    })
    .openapi(patch, async (c) => {
      const { title: given } = c.req.valid('json');
      return c.json(await edited(c.get('principal'), c.req.valid('param').id, { title: given }), 200);
    })
    .openapi(pin, async (c) => {
      const { pinned } = c.req.valid('json');
      return c.json(await edited(c.get('principal'), c.req.valid('param').id, { pinned }), 200);
    })
    .openapi(archive, async (c) => {
      await edited(c.get('principal'), c.req.valid('param').id, { archived: true });
      return c.body(null, 204);
    });
}
