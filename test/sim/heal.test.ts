import { expect, it } from 'vitest';
import type { Member } from './world/member.ts';
import { inWorld, type Scenario } from './world/scenario.ts';

const ROUNDS = 20;
/** Writes of each side while one is cut off, and the time between two, milliseconds. */
const WRITES = 20;
const PAUSE_MS = 1_500;
const HEALED_MS = 10_000;

const countAt = (scenario: Scenario, at: Member, author: Member): number =>
  scenario.node(at).store.digests.ofOwner('public', author.peerId).get('listings')?.count ?? 0;

it(
  `converges within 10 s of healing, ${ROUNDS} times, after half a minute of writes on every side`,
  { timeout: 120_000 },
  () =>
    inWorld({ seed: 6, nodes: 3 }, async (scenario, ...members) => {
      let writes = 0;
      for (let round = 0; round < ROUNDS; round++) {
        const away = members[round % members.length];
        if (away === undefined) throw new Error('no side was chosen');
        scenario.cut(away);
        for (let n = 0; n < WRITES; n++) {
          for (const member of members) {
            const { catalogue } = scenario.node(member).book;
            await scenario.done(catalogue.createListing({ type: 'offer', title: 'written while cut off' }));
          }
          await scenario.pass(PAUSE_MS);
        }
        // A cut that does not cut would heal in no time.
        for (const other of members) {
          if (other === away) continue;
          expect(countAt(scenario, away, away) - countAt(scenario, other, away)).toBe(WRITES);
          expect(countAt(scenario, other, other) - countAt(scenario, away, other)).toBe(WRITES);
        }
        writes += WRITES;
        scenario.heal();
        await scenario.until(
          'everybody to hold everything',
          () => members.every((at) => members.every((author) => countAt(scenario, at, author) === writes)),
          HEALED_MS,
        );
        const digests = members.map((at) =>
          members.map((author) => scenario.node(at).store.digests.ownerDigest(author.peerId)).join(),
        );
        expect(new Set(digests).size).toBe(1);
      }
      await scenario.settled();
    }),
);
