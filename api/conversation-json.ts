import { z } from '@hono/zod-openapi';
import type { JSONValue } from 'hono/utils/types';
import { isMessageTime } from '../protocols/market/message-order.ts';
import type { RecordState } from '../protocols/open-dialog/record.ts';
import { publicIdOf } from '../protocols/wire/ids.ts';
import { isOperator, type Principal } from './access.ts';
import type { Caller, Conversation as Held } from './ports/conversations.ts';
import { isoTime } from '../protocols/wire/iso-time.ts';
import { jsonOf } from './json-text.ts';
import { Unmerged } from './schemas.ts';

const json = z.unknown() as z.ZodType<JSONValue>; // it has been JSON all along

export const Conversation = z
  .object({
    id: z.string(),
    title: z.string(),
    pinned: z.boolean(),
    archived: z.boolean(),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
    participants: z.array(z.string()),
    metadata: json.optional(),
    /** The newest message that each user has read. */
    read: z.record(z.string(), z.string()),
    /** Values that lost to a concurrent write. */
    conflicts: z.record(z.string(), z.array(json)).optional(),
    unmerged: Unmerged.optional(),
  })
  .openapi('Conversation');

export const Message = z
  .object({
    id: z.string(),
    conversationId: z.string(),
    from: z.string(),
    to: z.string(),
    content: z.string(),
    type: z.string(),
    timestamp: z.iso.datetime(),
    attachments: json.optional(),
  })
  .openapi('Message');

/** Who calls, as the market's rules know callers. */
export function callerOf(principal: Principal): Caller {
  return { user: principal.userId, operator: isOperator(principal) };
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');

/** A conversation as old clients know it, with who takes part and what they have read. */
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

export function messageJson({ key, channel, view, created }: RecordState): z.output<typeof Message> {
  const { sentAt, attachments } = view;
  return {
    id: publicIdOf(key),
    conversationId: publicIdOf(channel),
    from: text(view['from']),
    to: text(view['to']),
    content: text(view['content']),
    type: text(view['type']),
    timestamp: isoTime(isMessageTime(sentAt) ? sentAt : created[0]),
    ...(typeof attachments === 'string' ? { attachments: jsonOf(attachments) } : {}),
  };
}
