import { z } from '@hono/zod-openapi';
import { AgrinetError } from '../protocols/errors.ts';
import {
  ATTACHMENT_LIMITS,
  attachmentName,
  type AttachmentRef,
  isAttachmentHash,
} from '../protocols/market/attachment.ts';
import type { AttachmentsPort } from './ports/attachments.ts';
import type { Caller } from './ports/conversations.ts';

/** Base64 of the largest file, and a little around it. */
const DATA_CHARACTERS = Math.ceil(ATTACHMENT_LIMITS.attachmentBytes / 3) * 4 + 256;

/** A file as old clients send it inside a message. */
export const FileInput = z
  .looseObject({
    name: z.string().max(1024).nullish().openapi({ description: 'File name.' }),
    type: z.string().max(256).nullish().openapi({
      description: 'Media type; ignored, because the bytes tell it.',
    }),
    data: z
      .string()
      .max(DATA_CHARACTERS)
      .openapi({
        description: `The bytes in base64, at most ${ATTACHMENT_LIMITS.attachmentBytes / 1024} KiB; a \`data:\` URL works too.`,
      }),
  })
  .openapi('FileInput', { additionalProperties: false });

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** The bytes of a file in a message. Throws `fields-invalid`. */
export function fileBytes(data: string): Uint8Array {
  const text = data.replace(/^data:[^,]*;base64,/, '').replaceAll(/\s/g, '');
  if (text.length % 4 !== 0 || !BASE64.test(text))
    throw new AgrinetError('fields-invalid', 'file.data: must be base64');
  return new Uint8Array(Buffer.from(text, 'base64'));
}

/** What a list of a record names is looked up in. */
export interface NamingParts {
  readonly attachments: Pick<AttachmentsPort, 'uploaded'>;
  readonly caller: Caller;
  /** The field of the request. */
  readonly field: string;
  /** What the record names already: it may go on naming it. */
  readonly known: readonly AttachmentRef[];
  /** Tells a URL that this node serves an attachment at; undefined for any other text. */
  readonly hashOf: (url: string) => string | undefined;
}

/**
 * The items of a list as they are kept: what names an upload (`{"sha256"}`, or a URL of this node) becomes a whole reference, everything
 * else stays as it is. Throws `fields-invalid` for an upload that this caller has not made, and for too many.
 */
export async function namedItems(parts: NamingParts, items: readonly unknown[]): Promise<unknown[]> {
  const { field } = parts;
  const named: unknown[] = [];
  const hashes = new Set<string>();
  for (const item of items) {
    const wish = wished(parts, item);
    if (wish === undefined) named.push(item);
    else if (!hashes.has(wish.sha256)) {
      hashes.add(wish.sha256);
      named.push(await referenceOf(parts, wish));
    }
  }
  if (hashes.size > ATTACHMENT_LIMITS.perRecord)
    throw new AgrinetError('fields-invalid', `${field}: at most ${ATTACHMENT_LIMITS.perRecord} attachments`);
  return named;
}

interface Wish {
  readonly sha256: string;
  readonly name?: string;
}

function wished({ field, hashOf }: NamingParts, item: unknown): Wish | undefined {
  if (typeof item === 'string') {
    const sha256 = hashOf(item);
    return sha256 === undefined ? undefined : { sha256 };
  }
  if (typeof item !== 'object' || item === null) return undefined;
  const { sha256, name } = item as { readonly sha256?: unknown; readonly name?: unknown };
  if (sha256 === undefined) return undefined;
  if (!isAttachmentHash(sha256))
    throw new AgrinetError(
      'fields-invalid',
      `${field}: sha256 must be the 64 lower-case hex digits that POST /attachments answered`,
    );
  return { sha256, ...(typeof name === 'string' ? { name } : {}) };
}

async function referenceOf(
  { attachments, caller, field, known }: NamingParts,
  { sha256, name }: Wish,
): Promise<AttachmentRef> {
  const before = known.find((ref) => ref.sha256 === sha256);
  const stored = before ?? (await attachments.uploaded(sha256, caller));
  if (stored === undefined)
    throw new AgrinetError(
      'fields-invalid',
      `${field}: no attachment ${sha256} was uploaded here by this user; upload it first: POST /attachments`,
    );
  const { type, size } = stored;
  return { sha256, type, size, name: name === undefined ? (before?.name ?? '') : attachmentName(name) };
}
