import { LIMITS } from './limits.ts';
import { parsePeerId, type PeerId } from './identity.ts';

/** `public`, or the key of the private record whose participants may hold the entries. */
export type Channel = 'public' | RecordKey;

/** `collection/owner's peer id/local id`. */
export type RecordKey = string & { readonly __recordKey: true };

const LOCAL_ID = /^[A-Za-z0-9_-]{1,64}$/;
const COLLECTION = /^[a-z][a-z-]{0,31}$/;

export function isLocalId(text: string): boolean {
  return LOCAL_ID.test(text);
}

export function isCollection(text: unknown): text is string {
  return typeof text === 'string' && COLLECTION.test(text);
}

export function recordKey(collection: string, owner: PeerId, id: string): RecordKey {
  return `${collection}/${owner}/${id}` as RecordKey;
}

export interface RecordKeyParts {
  readonly collection: string;
  readonly owner: PeerId;
  readonly id: string;
}

/** Splits a record key, strictly; undefined for anything else. */
export function parseRecordKey(text: unknown): RecordKeyParts | undefined {
  if (typeof text !== 'string' || text.length > LIMITS.keyBytes) return undefined;
  const parts = text.split('/');
  const [collection, ownerText, id] = parts;
  const owner = parsePeerId(ownerText);
  if (parts.length !== 3 || !isCollection(collection) || owner === undefined) return undefined;
  return id !== undefined && isLocalId(id) ? { collection, owner, id } : undefined;
}

export function isChannel(text: unknown): text is Channel {
  return text === 'public' || parseRecordKey(text) !== undefined;
}

/** The id HTTP clients see: `owner.local id`, URL-safe because neither part holds a dot. */
export function publicId(parts: { owner: PeerId; id: string }): string {
  return `${parts.owner}.${parts.id}`;
}

/** The same of a record key; another text is left as it is. */
export function publicIdOf(key: string): string {
  const parts = parseRecordKey(key);
  return parts === undefined ? key : publicId(parts);
}

/** Reads an HTTP id; a bare local id is this node's. */
export function parsePublicId(text: string, self: PeerId): { owner: PeerId; id: string } | undefined {
  const dot = text.indexOf('.');
  const owner = dot < 0 ? self : parsePeerId(text.slice(0, dot));
  const id = text.slice(dot + 1);
  return owner !== undefined && isLocalId(id) ? { owner, id } : undefined;
}
