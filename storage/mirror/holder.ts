import { AgrinetError } from '../../protocols/errors.ts';
import type { Attributes } from './attributes.ts';
import type { Tables } from './client.ts';
import type { MirrorLimits } from './limits.ts';
import type { TableSpec } from './types.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';

/** A table of the mirror's own: which node writes the others. */
export const META: TableSpec = { name: 'MirrorMeta', key: ['id'] };
const ID = { table: META.name, key: ['holder'] } as const;

/** The writer of a table set. */
export interface Holder {
  readonly peerId: string;
  /** Raised with each start, so that what a newer process writes beats what an older one has still under way. */
  readonly incarnation: number;
  /** A token of one process: nobody else can have renewed an entry with it. */
  readonly claim: string;
  /** Milliseconds since 1970; 0 after an orderly stop. */
  readonly seenAt: number;
  /** Batches in its database when it was seen: an older copy of the database has fewer. */
  readonly commits: number;
}

export function holderOf(item: Attributes | undefined): Holder | undefined {
  if (item === undefined) return undefined;
  const number = (name: string): number => {
    const value = Number(item[name]?.N ?? 0);
    // Nothing there is believed: a number that no daemon wrote must not take away the room to count.
    return Number.isSafeInteger(value) && value >= 0 && value < 2 ** 48 ? value : 0;
  };
  return {
    peerId: item['peerId']?.S ?? '',
    incarnation: number('incarnation'),
    claim: item['claim']?.S ?? '',
    seenAt: number('seenAt'),
    commits: number('commits'),
  };
}

function itemOf(holder: Holder): Attributes {
  const { peerId, incarnation, claim, seenAt, commits } = holder;
  return {
    id: { S: 'holder' },
    peerId: { S: peerId },
    incarnation: { N: String(incarnation) },
    claim: { S: claim },
    seenAt: { N: String(seenAt) },
    commits: { N: String(commits) },
  };
}

export interface HolderParts {
  readonly tables: Pick<Tables, 'get' | 'put'>;
  readonly self: string;
  readonly now: () => number;
  readonly limits: Pick<MirrorLimits, 'leaseMs'>;
}

/** Whether a holder may still be at work. A clock that is ahead of ours makes it seem so for longer, never for shorter. */
export function isAlive({ seenAt }: Holder, now: number, leaseMs: number): boolean {
  // A time far ahead comes from a wrong clock; nobody writes in the future.
  return seenAt > 0 && Math.abs(now - seenAt) < leaseMs;
}

/**
 * Takes the table set for this process. If its own peer id holds it, that gives way at once: the newest process wins. Throws
 * `mirror-held` for another's, even one that is gone, unless `takeOver` is set; and the errors of `Tables`. `before`: the holder
 * until now.
 */
export async function takeHold(
  { tables, self, now, limits }: HolderParts,
  mine: { readonly claim: string; readonly incarnation: number; readonly commits: number },
  takeOver: boolean,
): Promise<{ readonly holder: Holder; readonly before: Holder | undefined }> {
  for (let attempt = 0; ; attempt++) {
    const before = holderOf(await tables.get(ID));
    if (before !== undefined && before.peerId !== self) {
      const alive = isAlive(before, now(), limits.leaseMs);
      if (alive || !takeOver) throw held(before, alive, now());
    }
    // An attempt whose answer was lost.
    if (before?.claim === mine.claim) return { holder: before, before: undefined };
    const holder: Holder = {
      peerId: self,
      incarnation: Math.max(before?.incarnation ?? 0, mine.incarnation) + 1,
      claim: mine.claim,
      seenAt: now(),
      commits: mine.commits,
    };
    const demand = { kind: 'field', name: 'claim', value: before?.claim || undefined } as const;
    if (await tables.put(META.name, itemOf(holder), demand)) return { holder, before };
    if (attempt === 4)
      throw new AgrinetError(
        'mirror-away',
        'other daemons are taking over the tables at the same time; retrying',
      );
  }
}

/** Says that the holder is still there; false when somebody else is. */
export async function renewHold({ tables }: HolderParts, holder: Holder): Promise<boolean> {
  const demand = { kind: 'field', name: 'claim', value: holder.claim } as const;
  return tables.put(META.name, itemOf(holder), demand);
}

/** Whether this process still holds the tables. */
export async function isHeld({ tables }: Pick<HolderParts, 'tables'>, { claim }: Holder): Promise<boolean> {
  return holderOf(await tables.get(ID))?.claim === claim;
}

function held({ peerId, seenAt }: Holder, alive: boolean, now: number): AgrinetError {
  const text = alive
    ? `these tables belong to the node ${peerId}, which wrote to them ${Math.max(0, Math.round((now - seenAt) / 1000))} s ago: one daemon writes a table set. Set MIRROR_PREFIX, or stop that node first`
    : `these tables belong to the node ${peerId}, last seen ${seenAt === 0 ? 'at its orderly stop' : isoTime(seenAt)}. If it is gone for good: agrinet mirror init --take-over; otherwise set MIRROR_PREFIX`;
  return new AgrinetError('mirror-held', text, { details: { peerId, alive } });
}
