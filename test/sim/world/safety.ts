import { frontierOf, isWhole, sameFrontier } from '../../../protocols/feed/frontier.ts';
import { hasGap } from '../../../protocols/feed/gap.ts';
import type { Committed } from '../../../protocols/ledger/types.ts';
import type { PeerId } from '../../../protocols/wire/identity.ts';
import { type Channel, parseRecordKey } from '../../../protocols/wire/ids.ts';
import type { Store } from '../../../storage/store.ts';
import type { Acknowledged, Chronicle } from './chronicle.ts';
import type { Member } from './member.ts';

/** Checks after every step what must hold at every moment (DESIGN, section 10). It sees all nodes at once and changes none. */
export class Safety {
  readonly #chronicle: Chronicle;
  readonly #members: readonly Member[];
  /** What has changed since the last check, by node: authors and channels. */
  readonly #changed = new Map<Member, Map<string, { readonly author: PeerId; readonly channel: Channel }>>();
  /** Who takes part in each channel. */
  readonly #participants = new Map<Channel, ReadonlySet<string>>();
  /** How far each node has been told that its own feeds are safe. */
  readonly #own = new Map<PeerId, Map<string, Acknowledged>>();

  constructor(chronicle: Chronicle, members: readonly Member[]) {
    this.#chronicle = chronicle;
    this.#members = members;
  }

  /** A node has committed something. */
  committed(member: Member, { entries, local, changes, proofs }: Committed): void {
    const { running } = member;
    for (const entry of entries) {
      const { author } = entry;
      this.#chronicle.checkGenuine(entry, member.name);
      this.#checkFollows(member, author);
      if (local && !this.#chronicle.liars.has(author)) this.#acknowledge(member, entry);
    }
    if (running === undefined) return;
    const changed = this.#changed.get(member) ?? new Map<string, { author: PeerId; channel: Channel }>();
    this.#changed.set(member, changed);
    const note = (author: PeerId, channel: Channel): void =>
      void changed.set(`${author}|${channel}`, { author, channel });
    for (const { author, header } of entries) note(author, header.channel);
    for (const { author, channel } of proofs) note(author, channel);
    for (const { key, after } of changes) {
      if (after.members !== undefined) this.#participants.set(key, new Set(after.members.participants));
      const owner = parseRecordKey(key)?.owner;
      if (owner !== undefined) note(owner, after.channel);
    }
  }

  #acknowledge(member: Member, entry: Committed['entries'][number]): void {
    this.#chronicle.acknowledge(entry);
    const acknowledged = this.#chronicle.acknowledged.get(entry.hash);
    const own = this.#own.get(member.peerId) ?? new Map<string, Acknowledged>();
    this.#own.set(member.peerId, own);
    if (acknowledged !== undefined) own.set(`${acknowledged.channel}|${acknowledged.epoch}`, acknowledged);
  }

  /** Nothing from somebody who is not registered and active here. What was admitted before the operator's word may still be written. */
  #checkFollows(member: Member, author: PeerId): void {
    const { running } = member;
    if (running === undefined || author === member.peerId) return;
    const standing = running.registry.followState(author);
    if (standing !== 'followed' && !member.justSuspended(author))
      this.#chronicle.violate(`${member.name} took an entry of ${author}, who is ${standing} there`);
  }

  /** Nothing of a channel that a node takes no part in; who does its creation says, wherever that is held. */
  #checkMember(member: Member, channel: Channel): void {
    const takesPart = this.#participants.get(channel)?.has(member.peerId);
    if (channel !== 'public' && takesPart === false)
      this.#chronicle.violate(`${member.name} took an entry of ${channel}, in which it takes no part`);
  }

  /** All that may have changed since the last time. */
  check(): void {
    for (const [member, groups] of this.#changed) {
      this.checkOwn(member);
      for (const { author, channel } of groups.values()) {
        this.#checkMember(member, channel);
        this.#checkAgreement(member, author, channel);
      }
    }
    this.#changed.clear();
  }

  /** What a node was told is safe is there, and where it was. */
  checkOwn(member: Member): void {
    const store = member.running?.store;
    if (store === undefined) return;
    for (const each of this.#own.get(member.peerId)?.values() ?? []) {
      if (each.authorLost) continue;
      const feed = store.feed(each.author, each.channel, each.epoch);
      if (feed === undefined || feed.seq < each.seq || (feed.seq === each.seq && feed.hash !== each.hash))
        this.#chronicle.violate(
          `${member.name} has lost what it acknowledged: ${each.channel} ${each.epoch} ${each.seq}`,
        );
    }
  }

  /** A disk was lost: what a node was told is safe it may have to fetch from its peers, as far as anybody has it. */
  forgetOwn(member: Member): void {
    this.#own.delete(member.peerId);
  }

  /** Two nodes that hold the same of somebody show the same of it. */
  #checkAgreement(member: Member, author: PeerId, channel: Channel): void {
    const mine = member.running?.store;
    if (mine === undefined) return;
    for (const other of this.#members) {
      const theirs = other === member ? undefined : other.running?.store;
      if (theirs === undefined) continue;
      const problem =
        channel === 'public' ? publicProblem(mine, theirs, author) : privateProblem(mine, theirs, channel);
      if (problem) this.#chronicle.violate(`${member.name} and ${other.name} ${problem}`);
    }
  }
}

/** Whether two nodes hold the same of somebody: the same frontier, and everything that it stands for. */
function isSame(mine: Store, theirs: Store, author: PeerId, channel: Channel): boolean {
  const [one, other] = [mine.feeds(author, channel), theirs.feeds(author, channel)];
  if (hasGap(mine, one) || hasGap(theirs, other)) return false;
  return isWhole(one) && isWhole(other) && sameFrontier(frontierOf(one), frontierOf(other));
}

function publicProblem(mine: Store, theirs: Store, author: PeerId): string | undefined {
  if (!isSame(mine, theirs, author, 'public')) return undefined;
  const same = mine.digests.ownerDigest(author) === theirs.digests.ownerDigest(author);
  return same ? undefined : `hold the same of ${author} and show different digests`;
}

/** Whether something was forgotten of a channel, and kept as evidence or not: no node compares digests then. */
export function hasForgotten(store: Store, channel: Channel, author?: PeerId): boolean {
  return store
    .feedGroups()
    .some(
      (group) =>
        group.channel === channel &&
        (author === undefined || group.author === author) &&
        hasGap(store, group.feeds),
    );
}

/** Authors who have written in a channel, as far as is known here. */
function authorsIn(store: Store, channel: Channel): PeerId[] {
  return store.feedGroups().flatMap((group) => (group.channel === channel ? [group.author] : []));
}

function privateProblem(mine: Store, theirs: Store, channel: Channel): string | undefined {
  const authors = new Set([...authorsIn(mine, channel), ...authorsIn(theirs, channel)]);
  for (const author of authors) if (!isSame(mine, theirs, author, channel)) return undefined;
  return channelText(mine, channel) === channelText(theirs, channel)
    ? undefined
    : `hold the same of ${channel} and show different digests`;
}

/** The digests of a channel in one text. */
export function channelText(store: Store, channel: Channel): string {
  return [...store.digests.of(channel)]
    .map(
      ([owner, group]) =>
        `${owner} ${[...group]
          .map(([name, { digest }]) => `${name} ${digest}`)
          .toSorted()
          .join(' ')}`,
    )
    .toSorted()
    .join('\n');
}
