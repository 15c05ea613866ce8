import { z } from '@hono/zod-openapi';
import { attachmentRef, attachmentsOf } from '../protocols/market/attachment.ts';
import type { RecordState } from '../protocols/open-dialog/record.ts';
import { attachmentUrl, shownRef } from './attachment-urls.ts';
import { count, text } from './schemas.ts';

const described = {
  sha256: text('SHA-256 of the bytes, hex: their name in requests.'),
  type: text('Media type, told by the bytes when they were uploaded.'),
  size: count('Size in bytes.'),
  name: text('File name, as its sender gave it, without path and control characters.'),
};

/** An attachment as a record names it. */
export const Attachment = z
  .object({ ...described, url: text('Where this node serves it; absolute if `PUBLIC_URL` is set.') })
  .openapi('Attachment');

/** The file of a message, with the names that old clients read. */
export const MessageFile = z
  .object({
    path: text('Same as `url` of the attachment.'),
    originalname: text('Same as `name`.'),
    mimetype: text('Same as `type`.'),
    size: described.size,
    sha256: described.sha256,
  })
  .openapi('MessageFile');

/** The attachments of a record, as clients see them. */
export function attachmentsJson(state: RecordState, base: string): z.output<typeof Attachment>[] {
  return attachmentsOf(state).map((ref) => ({
    ...shownRef(ref),
    url: attachmentUrl(base, state.key, ref.sha256),
  }));
}

/** The pictures of a listing as URLs: of its own attachments those at which this node serves them. */
export function imageUrls(state: RecordState, images: readonly string[], base: string): string[] {
  const named = new Set(attachmentsOf(state).map(({ sha256 }) => sha256));
  return images.map((image) => {
    const ref = image.startsWith('{') ? attachmentRef(JSON.parse(image)) : undefined;
    return ref !== undefined && named.has(ref.sha256) ? attachmentUrl(base, state.key, ref.sha256) : image;
  });
}
