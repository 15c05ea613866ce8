import { attachmentName, type AttachmentRef } from '../protocols/market/attachment.ts';
import type { Principal } from './access.ts';
import { fileBytes, namedItems } from './attachment-inputs.ts';
import { callerOf } from './conversation-json.ts';
import type { AttachmentsPort } from './ports/attachments.ts';
import type { ConversationsPort } from './ports/conversations.ts';
import { AgrinetError } from '../protocols/errors.ts';

interface Sent {
  readonly file?: { readonly name?: string | null | undefined; readonly data: string } | null | undefined;
  readonly attachments?: readonly unknown[] | null | undefined;
}

export interface MessageItems {
  readonly list: readonly unknown[];
  /** Whether its file is a picture. */
  readonly isPicture: boolean;
}

/**
 * What a message carries beside its text, as it is kept: a file is uploaded, and uploads are named. Undefined for a message that has neither.
 * Throws `not-found` to who takes no part in the conversation, before anything is kept.
 */
export async function messageItems(
  node: { readonly attachments: AttachmentsPort; readonly conversations: ConversationsPort },
  { principal, conversationId }: { readonly principal: Principal; readonly conversationId: string },
  { file, attachments }: Sent,
): Promise<MessageItems | undefined> {
  const hasFile = file !== undefined && file !== null;
  if (!hasFile && (attachments === undefined || attachments === null)) return undefined;
  const caller = callerOf(principal);
  if (hasFile && (await node.conversations.find(caller, conversationId)) === undefined)
    throw new AgrinetError('not-found', 'Not found');
  const sent = hasFile ? [await uploadOf(node.attachments, file, principal)] : [];
  const parts = { attachments: node.attachments, caller, field: 'attachments', known: sent, hashOf: noUrl };
  const list = await namedItems(parts, [...sent, ...(attachments ?? [])]);
  return { list, isPicture: sent[0]?.type.startsWith('image/') === true };
}

// In a message a URL is a URL: only a reference names an upload.
const noUrl = (): undefined => undefined;

async function uploadOf(
  attachments: AttachmentsPort,
  { name, data }: NonNullable<Sent['file']>,
  { userId }: Principal,
): Promise<AttachmentRef> {
  const stored = await attachments.upload(fileBytes(data), userId, { isNamed: true });
  return { ...stored, name: attachmentName(name ?? undefined) };
}
