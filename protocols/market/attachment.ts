import type { RecordState } from '../open-dialog/record.ts';
import type { RecordKey } from '../wire/ids.ts';
import { parsedJson } from '../wire/json.ts';

export const ATTACHMENT_LIMITS = {
  /** One attachment: a photo of a phone, scaled down, or a few pages as PDF. */
  attachmentBytes: 1_048_576,
  /** Attachments of one record that count: further references have no effect. */
  perRecord: 16,
  /** The name of a file, in UTF-16 code units. */
  nameCharacters: 128,
  /** A media type, in UTF-16 code units. */
  typeCharacters: 100,
} as const;

/** How a record names bytes that are kept beside it. What its author says of type, size and name is for display alone. */
export interface AttachmentRef {
  /** Of the bytes, 64 hex digits, lower-case. */
  readonly sha256: string;
  readonly type: string;
  /** Bytes. */
  readonly size: number;
  readonly name: string;
}

/** The fields that name attachments, among other items of the list that their JSON is. */
const FIELDS: Readonly<Record<string, string>> = { listings: 'images', messages: 'attachments' };

const HASH = /^[0-9a-f]{64}$/;

/** Whether a text is a SHA-256 as references spell it. */
export function isAttachmentHash(text: unknown): text is string {
  return typeof text === 'string' && HASH.test(text);
}

/** The attachments that a record names, each once, in its order. */
export function attachmentsOf({ key, view }: Pick<RecordState, 'key' | 'view'>): readonly AttachmentRef[] {
  const field = FIELDS[collectionOf(key)];
  const text = field === undefined ? undefined : view[field];
  return typeof text === 'string' ? attachmentsIn(text) : [];
}

const collectionOf = (key: RecordKey): string => key.slice(0, key.indexOf('/'));

/** The references among the items of a list in JSON. */
function attachmentsIn(text: string): readonly AttachmentRef[] {
  // Of every record that is indexed: most name none.
  if (!text.includes('"sha256"')) return [];
  // A text of its own may happen to hold the word.
  const items = parsedJson(text);
  const found = new Map<string, AttachmentRef>();
  for (const item of Array.isArray(items) ? (items as unknown[]) : []) {
    const ref = attachmentRef(item);
    if (ref !== undefined && !found.has(ref.sha256)) found.set(ref.sha256, ref);
    if (found.size === ATTACHMENT_LIMITS.perRecord) break;
  }
  return [...found.values()];
}

/** An item of such a list as a reference; undefined for any other. */
export function attachmentRef(item: unknown): AttachmentRef | undefined {
  if (typeof item !== 'object' || item === null) return undefined;
  const { sha256, type, size, name } = item as Partial<Record<keyof AttachmentRef, unknown>>;
  if (!isAttachmentHash(sha256)) return undefined;
  if (typeof type !== 'string' || type.length > ATTACHMENT_LIMITS.typeCharacters) return undefined;
  if (typeof name !== 'string' || name.length > ATTACHMENT_LIMITS.nameCharacters) return undefined;
  if (typeof size !== 'number' || !Number.isInteger(size)) return undefined;
  if (size < 1 || size > ATTACHMENT_LIMITS.attachmentBytes) return undefined;
  return { sha256, type, size, name };
}

/** Control characters, ends of lines, and what turns the direction of writing: `gpj.exe` would read as `exe.jpg`. */
const UNSHOWN = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

/**
 * A file's name as it stands in a reference, and as one of another node is shown: its last part, without what is not to be seen, cut to what
 * has room. Empty for a name that is a folder's.
 */
export function attachmentName(given: string | undefined): string {
  const [last = ''] = (given ?? '').split(/[/\\]/).slice(-1);
  return last
    .replaceAll(UNSHOWN, '')
    .trim()
    .replace(/^\.+$/, '')
    .slice(0, ATTACHMENT_LIMITS.nameCharacters)
    .toWellFormed();
}
