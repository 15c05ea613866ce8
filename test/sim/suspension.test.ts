import { expect, it } from 'vitest';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import type { Member } from './world/member.ts';
import { inWorld, type Scenario } from './world/scenario.ts';
import { shown } from './world/trade.ts';

async function write(scenario: Scenario, author: Member, title: string): Promise<RecordKey> {
  const { catalogue } = scenario.node(author).book;
  return (await scenario.done(catalogue.createListing({ type: 'offer', title }))).state.key;
}

const digestOf = (scenario: Scenario, at: Member, author: Member): string =>
  scenario.node(at).store.digests.ownerDigest(author.peerId);

it('a suspended node keeps what is held, and nothing it writes later is taken, whoever brings it, until it is resumed', () =>
  inWorld({ seed: 5, nodes: 3 }, async (scenario, author, judge, friend) => {
    const holds = async (key: RecordKey): Promise<boolean> =>
      (await scenario.node(judge).reader.get(key)) !== undefined;
    const before = await write(scenario, author, 'before the cut');
    await scenario.settled();
    const held = digestOf(scenario, judge, author);
    await scenario.done(scenario.node(judge).registry.change(author.peerId, 'suspend'));
    const during = await write(scenario, author, 'beyond the cut');
    await shown(scenario, friend, during);
    // The friend shows and offers it to the judge, who asks for nothing.
    for (const member of [friend, judge]) await scenario.done(scenario.node(member).mycelium.syncNow());
    // Something of the friend's own has come the same way in the meantime.
    await shown(scenario, judge, await write(scenario, friend, 'later than the one beyond the cut'));
    expect([await holds(during), await holds(before)]).toEqual([false, true]);
    expect(digestOf(scenario, judge, author)).toBe(held);
    expect(scenario.node(judge).registry.get(author.peerId)).toMatchObject({ status: 'suspended' });

    for (const end of ['stop', 'kill', 'power'] as const) {
      if (end === 'stop') await scenario.stop(judge);
      else scenario.world.crash(judge, end);
      await scenario.start(judge);
      await shown(scenario, judge, await write(scenario, friend, `after the restart by ${end}`));
      expect(await holds(during), end).toBe(false);
      expect(digestOf(scenario, judge, author)).toBe(held);
    }

    await scenario.done(scenario.node(judge).registry.change(author.peerId, 'resume'));
    await shown(scenario, judge, during);
    await shown(scenario, judge, await write(scenario, author, 'live again'));
    await scenario.settled();
    expect(digestOf(scenario, judge, author)).toBe(digestOf(scenario, author, author));
  }));
