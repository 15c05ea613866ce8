import { isDeepStrictEqual } from 'node:util';
import { frontierOf } from '../../../protocols/feed/frontier.ts';
import type { RecordState } from '../../../protocols/open-dialog/record.ts';
import { type Channel, parseRecordKey } from '../../../protocols/wire/ids.ts';
import { range } from '../../../storage/keyspace.ts';
import { readRecordRow } from '../../../storage/stored-record.ts';
import type { ListedVerdict } from '../../../storage/commit-rows.ts';
import { verifiedJson } from '../../../storage/values.ts';
import type { Member } from './member.ts';
import { OPERATOR } from './trade.ts';
import type { Rows } from './rows.ts';
import type { PeerId } from '../../../protocols/wire/identity.ts';
import { channelText, hasForgotten } from './safety.ts';
import type { SentMessage, World } from './world.ts';

/** What is not yet as it has to be in the end, in a line; undefined when everything has settled. */
export async function unsettled(
  world: World,
  erased: readonly SentMessage[],
  waiting: string | undefined,
): Promise<string | undefined> {
  if (waiting !== undefined) return `${waiting} has no answer`;
  for (const member of world.members) {
    const problem = ofNode(member);
    if (problem !== undefined) return `${member.name} ${problem}`;
  }
  return (
    frontierProblem(world) ??
    missing(world) ??
    recordProblem(world.members) ??
    pendingProblem(world) ??
    (await contractProblem(world)) ??
    erasureProblem(world.members, erased)
  );
}

function ofNode({ running, name }: Member): string | undefined {
  if (running === undefined) return `${name} does not run`;
  if (running.mycelium.pending > 0) return 'has pulls under way';
  if (running.rejoin.status().waiting) return 'may not promise anything';
  const silent = running.registry.list().find(({ status }) => status !== 'active');
  return silent && `does not follow ${silent.name}`;
}

/** How often two nodes' digests of one group of feeds were held against each other, and how often not, because something was forgotten. */
export function compared(members: readonly Member[]): Readonly<Record<'compared' | 'not compared', number>> {
  const counts = { compared: 0, 'not compared': 0 };
  frontierProblem({ members }, (what) => counts[what]++);
  return counts;
}

/** Public feeds are the same on every node, those of a channel on all that take part. */
function frontierProblem(
  { members }: Pick<World, 'members'>,
  count: (what: 'compared' | 'not compared') => void = () => undefined,
): string | undefined {
  const shown = members.map((member) => [member, frontiers(member)] as const);
  for (const [member, mine] of shown)
    for (const [other, theirs] of shown) {
      if (other === member) continue;
      for (const [group, { author, channel, text }] of mine) {
        if (channel !== 'public' && other.running?.mayHold(other.peerId, channel) !== true) {
          // What founded it may be held as evidence alone, of an author who has lost it.
          if (
            member.running?.mayHold(other.peerId, channel) === true &&
            !hasForgotten(member.running.store, channel)
          )
            return `${other.name} does not know of ${channel}`;
          continue;
        }
        if (theirs.get(group)?.text !== text)
          return `${member.name} and ${other.name} hold different feeds of ${author} in ${channel}`;
        const by = channel === 'public' ? author : undefined;
        if ([member, other].some(({ running }) => running && hasForgotten(running.store, channel, by))) {
          count('not compared');
          continue;
        }
        count('compared');
        const digests = [member, other].map(({ running }) =>
          channel === 'public'
            ? running?.store.digests.ownerDigest(author)
            : running && channelText(running.store, channel),
        );
        if (digests[0] !== digests[1])
          return `${member.name} and ${other.name} show different digests in ${channel}`;
      }
    }
  return undefined;
}

function frontiers({ running }: Member): Map<string, { author: PeerId; channel: Channel; text: string }> {
  const all = new Map<string, { author: PeerId; channel: Channel; text: string }>();
  for (const { author, channel, feeds } of running?.store.feedGroups() ?? [])
    all.set(`${author}|${channel}`, { author, channel, text: JSON.stringify(frontierOf(feeds)) });
  return all;
}

/** Everything that was acknowledged, and that is not gone with a lost disk, is wherever it belongs. */
function missing({ chronicle, members }: World): string | undefined {
  for (const each of chronicle.acknowledged.values()) {
    if (each.gone) continue;
    for (const { running, peerId, name } of members) {
      if (running === undefined) continue;
      const { author, channel, epoch, seq } = each;
      if (channel !== 'public' && peerId !== author && !running.mayHold(peerId, channel)) continue;
      const feed = running.store.feed(author, channel, epoch);
      if ((feed?.seq ?? 0) < seq) return `${name} lacks ${author} ${channel} ${epoch} ${seq}`;
    }
  }
  return undefined;
}

/** The records on a disk, by key. */
export function recordsOf(rows: Rows): Map<string, RecordState> {
  const records = new Map<string, RecordState>();
  for (const key of rows.keys(range('records'))) {
    const value = rows.get(key);
    if (value === undefined) continue;
    const { state } = readRecordRow(key, value);
    if (state.ops > 0) records.set(state.key, state);
  }
  return records;
}

/** Whoever holds a record shows it as all others do who hold it. */
function recordProblem(members: readonly Member[]): string | undefined {
  const seen = new Map<string, { readonly member: Member; readonly state: unknown }>();
  for (const member of members)
    for (const [key, { listed: _, ...state }] of recordsOf(member.disk.rows)) {
      if (state.unmerged !== undefined) return `${member.name} has not merged ${key}`;
      const known = seen.get(key);
      if (known === undefined) seen.set(key, { member, state });
      else if (
        !isDeepStrictEqual(known.state, state) &&
        ![member, known.member].some((each) => hasGapIn(each, state))
      )
        return `${known.member.name} and ${member.name} show ${key} differently: ${JSON.stringify(known.state)} and ${JSON.stringify(state)}`;
    }
  return undefined;
}

/** Who has forgotten an author keeps what own users rest on as evidence; an author who has lost it does not get it back from there. */
function hasGapIn({ running }: Member, { key, channel }: Pick<RecordState, 'key' | 'channel'>): boolean {
  if (running === undefined) return false;
  const author = channel === 'public' ? parseRecordKey(key)?.owner : undefined;
  return hasForgotten(running.store, channel, author);
}

/** Nothing waits for something that nobody has, but what somebody sent who keeps to no rules. */
function pendingProblem({ members, liar, chronicle }: World): string | undefined {
  const gone = [...chronicle.acknowledged.values()].some((each) => each.gone);
  for (const { disk, name } of members)
    for (const key of disk.rows.keys(range('verdicts'))) {
      const value = disk.rows.get(key);
      if (value === undefined) continue;
      const { verdict, ref } = verifiedJson<ListedVerdict>(key, value);
      // What depended on something that is gone with a disk waits for good.
      if (verdict.state === 'pending' && ref.author !== liar?.peerId && !gone)
        return `${name} waits for ${verdict.missing} (${verdict.code})`;
    }
  return undefined;
}

/** Both sides of a contract see it where it stands, and what they have agreed is agreed. */
async function contractProblem({ members }: World): Promise<string | undefined> {
  const seen = new Map<string, { readonly name: string; readonly verdict: unknown }>();
  for (const { running, name } of members)
    for await (const { key, channel } of running?.reader.all('contracts') ?? []) {
      if (channel === 'public') continue;
      const verdict = (await running?.book.get(key, OPERATOR))?.held?.verdict;
      const known = seen.get(key);
      if (known === undefined) seen.set(key, { name, verdict });
      else if (!isDeepStrictEqual(known.verdict, verdict))
        return `${known.name} and ${name} see ${key} differently`;
    }
  return undefined;
}

/** What was erased is on no disk, unless the word for it is gone with one. */
function erasureProblem(members: readonly Member[], erased: readonly SentMessage[]): string | undefined {
  for (const { by, key, content } of erased) {
    const text = Buffer.from(content);
    if (recordsOf(by.disk.rows).get(key)?.exists === true) continue;
    for (const { disk, name } of members)
      for (const row of disk.rows.keys()) {
        const value = disk.rows.get(row);
        if (value !== undefined && Buffer.from(value.buffer, value.byteOffset, value.length).includes(text))
          return `${name} still has ${content} in ${row}`;
      }
  }
  return undefined;
}
