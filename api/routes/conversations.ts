import { z } from '@hono/zod-openapi';
import { AgrinetError } from '../../protocols/errors.ts';
import { callerOf, Conversation, conversationJson } from '../conversation-json.ts';
import { idempotentId } from '../limits/idempotency.ts';
import type { ConversationsPort } from '../ports/conversations.ts';
import { json, jsonInput, route, router } from '../route.ts';
import { idParam, pageQuery } from '../schemas.ts';
import { nextOf, placeOf } from '../paging.ts';
import { Shown } from '../left-out.ts';
import type { NoteLeftOut } from '../ports/left-out.ts';

const tags = ['Chat'];
const title = z.string().min(1).max(256);
const Hidden = z.object({ id: z.string(), reason: z.enum(['from-malformed', 'from-foreign']) });
const titleBody = jsonInput(z.looseObject({ title }));
const changed = { 200: json(Conversation, 'The conversation as it stands now') };

const create = route(
  'write',
  {
    operationId: 'createConversation',
    method: 'post',
    path: '/',
    tags,
    summary: 'Begin a private conversation; participants on other nodes are named user@peer-id',
    description:
      'Who takes part is fixed: begin a new one to add people. Without participants it is the caller’s alone. It goes to the participants’ nodes and to no other; those must be registered here, else 409 `party-unknown`.',
    request: {
      body: jsonInput(
        z.looseObject({
          title: z.string().max(256).nullish(),
          participants: z.array(z.string().min(1).max(192)).max(64).nullish(),
          metadata: z.union([z.string().max(8192), z.record(z.string(), z.unknown())]).nullish(),
        }),
      ),
    },
    responses: { 201: json(Conversation, 'The new conversation') },
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
    summary: 'Conversations the caller takes part in, the last changed first; the operator sees all',
    description: 'A page may be short; when there is more, the header `x-next-cursor` holds `cursor` for it.',
    request: { query: z.object({ participant: z.string().min(1).max(192).optional(), ...pageQuery }) },
    responses: { 200: json(z.array(Conversation), 'One page') },
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
    summary: 'One conversation, with the newest message that each user has read',
    request: { params: idParam },
    responses: {
      200: json(
        Conversation.extend({ hidden: z.array(Hidden) }),
        'The conversation; `hidden`: messages that are not shown, because their node does not speak for their `from`',
      ),
    },
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
    summary: 'Name a conversation, for all who take part',
    request: { params: idParam, body: titleBody },
    responses: changed,
  },
  'ignored',
);
const patch = route('write', {
  operationId: 'updateConversation',
  method: 'patch',
  path: '/{id}',
  tags,
  summary: 'Name a conversation, for all who take part',
  request: { params: idParam, body: titleBody },
  responses: changed,
});
const pin = route(
  'write',
  {
    operationId: 'pinConversation',
    method: 'post',
    path: '/{id}/pin',
    tags,
    summary: 'Pin a conversation, or no longer, for all who take part',
    request: { params: idParam, body: jsonInput(z.looseObject({ pinned: z.boolean() })) },
    responses: changed,
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
    summary: 'Archive a conversation for all who take part',
    description:
      'It leaves the lists and takes no more messages. What was said in it is not erased: every participant’s node keeps it, and it can still be read by its id.',
    request: { params: idParam },
    responses: { 204: { description: 'Archived' } },
  },
  'ignored',
);

export function conversationRoutes({
  conversations,
  leftOut,
}: {
  readonly conversations: ConversationsPort;
  readonly leftOut: NoteLeftOut;
}) {
  return router()
    .openapi(create, async (c) => {
      const { title: named, participants, metadata } = c.req.valid('json');
      const asked = {
        title: (named ?? '').trim() || 'New Chat',
        participants: participants ?? [],
        ...(metadata === null || metadata === undefined
          ? {}
          : { metadata: typeof metadata === 'string' ? metadata : JSON.stringify(metadata) }),
      };
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
      const { id } = c.req.valid('param');
      const edited = await conversations.edit(callerOf(c.get('principal')), id, { title: given });
      return c.json(conversationJson(edited), 200);
    })
    .openapi(patch, async (c) => {
      const { title: given } = c.req.valid('json');
      const { id } = c.req.valid('param');
      const edited = await conversations.edit(callerOf(c.get('principal')), id, { title: given });
      return c.json(conversationJson(edited), 200);
    })
    .openapi(pin, async (c) => {
      const { pinned } = c.req.valid('json');
      const { id } = c.req.valid('param');
      return c.json(
        conversationJson(await conversations.edit(callerOf(c.get('principal')), id, { pinned })),
        200,
      );
    })
    .openapi(archive, async (c) => {
      await conversations.edit(callerOf(c.get('principal')), c.req.valid('param').id, { archived: true });
      return c.body(null, 204);
    });
}
