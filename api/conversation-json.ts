import { z } from '@hono/zod-openapi';
import { attachmentRef } from '../protocols/market/attachment.ts';
import { isMessageTime } from '../protocols/market/message-order.ts';
import type { RecordState } from '../protocols/open-dialog/record.ts';
import { publicIdOf } from '../protocols/wire/ids.ts';
import { isOperator, type Principal } from './access.ts';
import { attachmentsJson, MessageFile } from './attachment-json.ts';
import { messageFile } from './attachment-urls.ts';
import type { Caller, Conversation as Held } from './ports/conversations.ts';
import { isoTime } from '../protocols/wire/iso-time.ts';
import { jsonOf } from './json-text.ts';
import { conflicts as conflictsJson, Unmerged } from './market-schemas.ts';
import { flag, JsonValue, text as described, texts, timestamp } from './schemas.ts';

export const MESSAGE_TYPES = ['text', 'image', 'file', 'ping'] as const;

export const Conversation = z
  .object({
    id: described('`<owner>.<local id>`.'),
    title: described('Title.'),
    pinned: flag('Whether it is pinned.'),
    archived: flag('Whether it is archived.'),
    createdAt: timestamp('When it was created.'),
    updatedAt: timestamp('When it was last changed.'),
    participants: texts('Participants, `user@peer-id`.'),
    metadata: JsonValue.optional(),
    read: z
      .record(z.string(), z.string())
      .openapi({ description: 'ID of the newest message that each user has read, by `user@peer-id`.' }),
    conflicts: conflictsJson,
    unmerged: Unmerged.optional(),
  })
  .openapi('Conversation');

export const Message = z
  .object({
    id: described('`<owner>.<local id>`.'),
    conversationId: described('ID of the conversation.'),
    from: described('Sender, `user@peer-id`.'),
    to: described('Recipient; empty if the message is for all participants.'),
    content: described('Text of the message.'),
    type: z.enum(MESSAGE_TYPES),
    timestamp: timestamp('When it was sent.'),
    attachments: z.array(JsonValue).optional(),
    file: MessageFile.optional().openapi({ description: 'The first attachment that is stored on nodes.' }),
  })
  .openapi('Message');

/** The caller, in the terms of the market's rules. */
export function callerOf(principal: Principal): Caller {
  return { user: principal.userId, operator: isOperator(principal) };
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');

/** A conversation as old clients know it, with its participants and what they have read. */
export function conversationJson({ state, participants, read }: Held): z.output<typeof Conversation> {
  const { view } = state;
  const conflicts = Object.entries(state.conflicts)
    .filter(([field]) => field === 'title' || field === 'pinned')
    .map(([field, values]) => [field, values.map(({ value, op }) => ({ value, op }))] as const);
  return {
    id: publicIdOf(state.key),
    title: text(view['title']) || 'New Chat',
    pinned: view['pinned'] === true,
    archived: view['archived'] === true,
    createdAt: isoTime(state.created[0]),
    updatedAt: isoTime(state.updated[0]),
    participants: [...participants],
    ...(typeof view['metadata'] === 'string' ? { metadata: jsonOf(view['metadata']) } : {}),
    read: { ...read },
    ...(conflicts.length === 0 ? {} : { conflicts: Object.fromEntries(conflicts) }),
    ...(state.unmerged === undefined ? {} : { unmerged: state.unmerged }),
  };
}

/** `base` is PUBLIC_URL, or empty, of this node: where it serves attachments. */
export function messageJson(state: RecordState, base = ''): z.output<typeof Message> {
  const { key, channel, view, created } = state;
  const { sentAt, attachments } = view;
  const file = messageFile(state, base);
  return {
    id: publicIdOf(key),
    conversationId: publicIdOf(channel),
    from: text(view['from']),
    to: text(view['to']),
    content: text(view['content']),
    type: MESSAGE_TYPES.find((type) => type === view['type']) ?? 'text',
    timestamp: isoTime(isMessageTime(sentAt) ? sentAt : created[0]),
    ...(typeof attachments === 'string' ? { attachments: shownItems(state, attachments, base) } : {}),
    ...(file === undefined ? {} : { file }),
  };
}

function shownItems(state: RecordState, attachments: string, base: string) {
  const items = [jsonOf(attachments)].flat();
  const named = new Map(attachmentsJson(state, base).map((each) => [each.sha256, each]));
  if (named.size === 0) return items;
  return items.map((item) => named.get(attachmentRef(item)?.sha256 ?? '') ?? item);
}
