import { parsePeerId, type PeerId } from '../wire/identity.ts';

/** Somebody on a node; that node signs for them. */
export interface Party {
  readonly user: string;
  readonly node: PeerId;
}

/** As API keys name users. A name may hold an `@`: the last one divides. */
const USER = /^\P{Cc}+$/u;
const USER_CHARACTERS = 128;

/** Reads `user@peer-id`, strictly; undefined for anything else. */
export function parseParty(text: unknown): Party | undefined {
  if (typeof text !== 'string') return undefined;
  const at = text.lastIndexOf('@');
  const node = parsePeerId(text.slice(at + 1));
  const user = text.slice(0, Math.max(0, at));
  return node !== undefined && user.length <= USER_CHARACTERS && USER.test(user) && user.isWellFormed()
    ? { user, node }
    : undefined;
}

/** The node of `user@peer-id`; undefined for anything else. */
export function nodeOf(text: unknown): PeerId | undefined {
  return parseParty(text)?.node;
}
