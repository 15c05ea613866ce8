import { sha256Hex } from '../wire/bytes.ts';
import type { Json } from '../wire/json.ts';
import { withoutPersonal } from '../wire/personal.ts';
import { legacyTime } from './legacy-time.ts';

/** Sections of an old node's export that are stored here; others are not read. */
export const LEGACY_COLLECTIONS = ['listings', 'contracts', 'transactions', 'users'] as const;
export type LegacyCollection = (typeof LEGACY_COLLECTIONS)[number];

export const LEGACY_LIMITS = {
  /** JSON characters of one item. */
  itemCharacters: 256 * 1024,
  /** Nesting inside an item. */
  depth: 16,
  /** How far in the future a time may be: one further ahead would keep every later version out. */
  aheadMs: 24 * 60 * 60 * 1000,
} as const;

/** An item of an old node in the form in which it is kept. */
export interface LegacyRow {
  readonly collection: LegacyCollection;
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly updatedAt: number;
  /** SHA-256 of the kept item's JSON, hex. */
  readonly hash: string;
  readonly item: { readonly [field: string]: Json };
}

/** Any text that can be shown: without control, format and unassigned characters, and line ends. */
const ID = /^[^\p{C}\p{Zl}\p{Zp}]{1,128}$/u;
const NAMES = ['title', 'commodity', 'productId', 'category', 'description'] as const;

/** Checks one item of an export. A text is the reason why it is refused. */
export function legacyRow(collection: LegacyCollection, value: unknown, now: number): LegacyRow | string {
  if (!isObject(value)) return 'not an object';
  const id = legacyId(value);
  if (id === undefined) return 'id: missing (also as _id), or not 1 to 128 characters that can be shown';
  const stamp = ['updatedAt', 'createdAt'].find((name) => (value[name] ?? null) !== null);
  if (stamp === undefined) return 'neither updatedAt nor createdAt is a time: both are missing';
  const updatedAt = legacyTime(value[stamp]);
  if (typeof updatedAt === 'string')
    return `neither updatedAt nor createdAt is a time: ${stamp} ${shownValue(value[stamp])} ${updatedAt}`;
  if (updatedAt > now + LEGACY_LIMITS.aheadMs) return 'updatedAt: more than a day ahead; check the clocks';
  const problem = problemOf(collection, value);
  if (problem !== undefined) return problem;
  const whole = value['id'] === undefined ? { ...value, id } : value;
  const item = collection === 'users' ? publicUser(id, value) : withoutPersonal(whole);
  return { collection, id, updatedAt, hash: sha256Hex(JSON.stringify(item)), item };
}

/** `imported` when nothing is held of it, or something older; otherwise why not. */
export function importVerdict(
  known: Pick<LegacyRow, 'updatedAt' | 'hash'> | undefined,
  row: Pick<LegacyRow, 'updatedAt' | 'hash'>,
): 'imported' | 'unchanged' | 'older' {
  if (known === undefined || row.updatedAt > known.updatedAt) return 'imported';
  return row.updatedAt === known.updatedAt && row.hash === known.hash ? 'unchanged' : 'older';
}

function isObject(value: unknown): value is Record<string, Json> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The id of an item, as text: `id`, or MongoDB's `_id`; undefined when there is none that can be stored and shown. */
export function legacyId(item: Readonly<Record<string, unknown>>): string | undefined {
  const given = item['id'] ?? item['_id'];
  const id = typeof given === 'object' && given !== null && '$oid' in given ? given.$oid : given;
  if (typeof id === 'number') return Number.isSafeInteger(id) ? String(id) : undefined;
  return typeof id === 'string' && id.isWellFormed() && ID.test(id) ? id : undefined;
}

/** For a reason that a person reads: short, and on one line. */
function shownValue(value: unknown): string {
  const text = JSON.stringify(value) ?? '';
  return (text.length > 40 ? `${text.slice(0, 40)}…` : text).replaceAll(/\p{C}/gu, '?');
}

function problemOf(collection: LegacyCollection, item: Record<string, Json>): string | undefined {
  const amount = (name: string): boolean => {
    const value = item[name] ?? 0;
    const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
    return typeof number === 'number' && Number.isFinite(number) && number >= 0;
  };
  switch (collection) {
    case 'listings':
      if (!NAMES.some((name) => typeof item[name] === 'string' && item[name] !== ''))
        return 'title: a listing needs a title, commodity, productId, category or description';
      for (const name of ['price', 'quantity']) if (!amount(name)) return `${name}: not a number from 0 on`;
      return undefined;
    case 'transactions': {
      const rating = item['rating'] ?? 0;
      const ok = typeof rating === 'number' && Number.isInteger(rating) && rating >= -1 && rating <= 4;
      return ok ? undefined : 'rating: not a whole number from -1 to 4';
    }
    case 'contracts':
      return ['string', 'undefined'].includes(typeof item['status']) ? undefined : 'status: not a text';
    case 'users':
      return ['string', 'undefined'].includes(typeof item['role']) ? undefined : 'role: not a text';
  }
}

/** Only the public fields of a user. */
function publicUser(id: string, item: Record<string, Json>): Record<string, Json> {
  const user: Record<string, Json> = { id };
  if (typeof item['role'] === 'string') user['role'] = item['role'].slice(0, 64);
  const score = Number(item['reputationScore'] ?? Number.NaN);
  if (Number.isFinite(score)) user['reputationScore'] = score;
  return user;
}
