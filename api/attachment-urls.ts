import { attachmentName, type AttachmentRef, attachmentsOf } from '../protocols/market/attachment.ts';
import type { RecordState } from '../protocols/open-dialog/record.ts';
import { parseRecordKey, publicId, type RecordKey } from '../protocols/wire/ids.ts';

/** Where this node serves what a record names. `base` is PUBLIC_URL, or empty: then it is a path. */
export function attachmentUrl(base: string, key: RecordKey, sha256: string): string {
  const parts = parseRecordKey(key);
  const record = parts === undefined ? '' : `${parts.collection}/${publicId(parts)}`;
  return `${base.replace(/\/+$/, '')}/attachments/${record}/${sha256}`;
}

/** A reference with a name that can be shown and saved under: another node may have signed any. */
export function shownRef(ref: AttachmentRef): AttachmentRef {
  return { ...ref, name: attachmentName(ref.name) };
}

/** The first attachment of a message, by the names that old clients read. */
export function messageFile(state: RecordState, base: string) {
  const [ref] = attachmentsOf(state);
  if (ref === undefined) return undefined;
  const { name, type, size, sha256 } = shownRef(ref);
  const path = attachmentUrl(base, state.key, sha256);
  return { path, originalname: name, mimetype: type, size, sha256 };
}
