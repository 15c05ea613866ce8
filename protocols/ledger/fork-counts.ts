import type { ForkProof } from '../feed/fork.ts';
import type { PeerId } from '../wire/identity.ts';
import type { Channel } from '../wire/ids.ts';
import { LIMITS } from '../wire/limits.ts';
import { dayOf } from './new-feeds.ts';

/** Forks taken today: of one epoch, and of its author in public or in private channels. */
export interface ForksToday {
  readonly ofEpoch: number;
  readonly ofAuthor: number;
}

/**
 * Whether one more fork is accepted today. A deferred proof is not lost: the frontiers continue to differ, it is sent with every
 * pull, and the lowest one that anybody holds is accepted the next day. So nodes agree at the latest a day after the last proof.
 */
export function mayForkToday(channel: Channel, { ofEpoch, ofAuthor }: ForksToday): boolean {
  const ofAuthorAtMost = LIMITS.forksPerDay * (channel === 'public' ? 1 : LIMITS.privateFeedsPerEpoch);
  return ofEpoch < LIMITS.forksPerEpochDay && ofAuthor < ofAuthorAtMost;
}

/** Counts the forks accepted since this process began, starting again each day. */
export class ForkCounts {
  readonly #now: () => number;
  readonly #ofEpochs = new Map<string, number>();
  readonly #ofAuthors = new Map<string, number>();
  #day = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  mayTake({ author, channel, epoch }: Pick<ForkProof, 'author' | 'channel' | 'epoch'>): boolean {
    this.#turnDay();
    const ofEpoch = this.#ofEpochs.get(epochId(author, channel, epoch)) ?? 0;
    const ofAuthor = this.#ofAuthors.get(authorId(author, channel)) ?? 0;
    return mayForkToday(channel, { ofEpoch, ofAuthor });
  }

  note({ author, channel, epoch }: Pick<ForkProof, 'author' | 'channel' | 'epoch'>): void {
    this.#turnDay();
    const ids = [epochId(author, channel, epoch), authorId(author, channel)] as const;
    this.#ofEpochs.set(ids[0], (this.#ofEpochs.get(ids[0]) ?? 0) + 1);
    this.#ofAuthors.set(ids[1], (this.#ofAuthors.get(ids[1]) ?? 0) + 1);
  }

  #turnDay(): void {
    const day = dayOf(this.#now());
    if (day === this.#day) return;
    this.#day = day;
    this.#ofEpochs.clear();
    this.#ofAuthors.clear();
  }
}

function epochId(author: PeerId, channel: Channel, epoch: string): string {
  return `${author}|${channel}|${epoch}`;
}

function authorId(author: PeerId, channel: Channel): string {
  return channel === 'public' ? `public|${author}` : `private|${author}`;
}
