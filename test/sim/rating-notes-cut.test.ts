import { expect, it } from 'vitest';
import type { NoteKind, NoteReason } from '../../protocols/market/rating-notes.ts';
import { type ReputationProof, reputationText } from '../../protocols/market/reputation.ts';
import { EXCHANGE_LIMITS } from '../../protocols/mycelium/exchanges.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import type { Member } from './world/member.ts';
import { inWorld, type Scenario } from './world/scenario.ts';
import { inState, offer, OPERATOR, proposed, step } from './world/trade.ts';

/** Anti-entropy is with a random peer, every 45 s give or take half: what was lost on the way after a cut may need several rounds. */
const SETTLED_MS = 4 * EXCHANGE_LIMITS.everyMs;
const AS_OF = Date.parse('2030-01-01T00:00:00Z');

/** A settled contract between both, and a breach that each of them rates the other one with; the ratings by their rater. */
async function breachedBoth(
  scenario: Scenario,
  seller: Member,
  buyer: Member,
): Promise<Map<Member, RecordKey>> {
  await offer(scenario, seller, 'maize', 100);
  const contract = await proposed(scenario, buyer, seller);
  await scenario.done(step(scenario, seller, contract, { kind: 'accept' }));
  await inState(scenario, buyer, contract, 'accepted');
  for (const party of [seller, buyer])
    await scenario.done(step(scenario, party, contract, { kind: 'settle' }));
  const ratings = new Map<Member, RecordKey>();
  for (const rater of [seller, buyer]) {
    await inState(scenario, rater, contract, 'settled');
    const breach = { contract, score: -1, comment: 'not as it was said' };
    const { rating } = await scenario.done(scenario.node(rater).submission.submit(breach, OPERATOR));
    ratings.set(rater, rating.id);
  }
  for (const member of scenario.members)
    await scenario.until(`${member.name} to hold both ratings`, async () => {
      const { items } = await scenario.node(member).ratings.list(undefined, 10);
      return items.length === 2;
    });
  return ratings;
}

async function say(
  scenario: Scenario,
  member: Member,
  rating: RecordKey | undefined,
  [kind, why]: readonly [NoteKind, NoteReason],
): Promise<void> {
  if (rating === undefined) throw new Error('there is no such rating');
  await scenario.done(scenario.node(member).submission.annotate({ rating, kind, why }, OPERATOR));
}

interface Question {
  readonly subject: string;
  readonly roots: readonly PeerId[];
  readonly adjudicators: readonly PeerId[];
}

function proofOf(
  scenario: Scenario,
  member: Member,
  { subject, ...jury }: Question,
): Promise<ReputationProof> {
  return scenario.done(scenario.node(member).ratings.proof(subject, { ...jury, asOf: AS_OF }));
}

/** The bytes of a proof at each node. */
async function bytesAt(scenario: Scenario, question: Question): Promise<string[]> {
  const texts: string[] = [];
  for (const member of scenario.members)
    texts.push([...reputationText(await proofOf(scenario, member, question))].join(''));
  return texts;
}

const DIRECTIONS = [
  { first: 'rater', seed: 41 },
  { first: 'rated', seed: 42 },
] as const;

it.each(DIRECTIONS)(
  'ratings contested, dismissed and upheld while all are cut off come to the same bytes, the $first heard first',
  ({ first, seed }) =>
    inWorld({ seed, nodes: 3 }, async (scenario, seller, buyer, third) => {
      const ratings = await breachedBoth(scenario, seller, buyer);
      const [ofSeller, ofBuyer] = [ratings.get(buyer), ratings.get(seller)];
      const roots = scenario.members.map(({ peerId }) => peerId);
      const parties = [`mary@${seller.peerId}`, `amina@${buyer.peerId}`];
      const subjects = [...parties, seller.peerId, buyer.peerId];
      const questions = [[], [third.peerId], roots].flatMap((adjudicators) =>
        subjects.map((subject): Question => ({ subject, roots, adjudicators })),
      );
      for (const question of questions)
        expect(new Set(await bytesAt(scenario, question)).size, question.subject).toBe(1);

      scenario.cut(seller);
      scenario.cut(buyer);
      // The buyer's node takes its word back, without having heard that it is contested; the seller's node stands by its own, likewise.
      await say(scenario, buyer, ofSeller, ['dismiss', 'mistaken']);
      await say(scenario, buyer, ofBuyer, ['contest', 'facts-differ']);
      await say(scenario, seller, ofSeller, ['contest', 'wrong-party']);
      await say(scenario, seller, ofBuyer, ['uphold', 'mistaken']);
      await say(scenario, third, ofBuyer, ['dismiss', 'abusive']);
      await scenario.pass(5_000);
      for (const subject of parties)
        expect(new Set(await bytesAt(scenario, { subject, roots, adjudicators: [third.peerId] })).size).toBe(
          3,
        );

      scenario.join(third, first === 'rater' ? buyer : seller);
      const ofMaryAtThird = { subject: parties[0] ?? '', roots, adjudicators: [] };
      const half = await scenario.until('the third node to hear one of them', async () => {
        const { notes } = await proofOf(scenario, third, ofMaryAtThird);
        return notes.length > 0 && notes.map(({ kind }) => kind);
      });
      expect(half).toEqual([first === 'rater' ? 'dismiss' : 'contest']);
      scenario.heal();
      await scenario.settled(SETTLED_MS);
      for (const question of questions)
        expect(new Set(await bytesAt(scenario, question)).size, question.subject).toBe(1);

      const shown = async (subject = '', adjudicators: readonly PeerId[] = []) => {
        const { inputs, roles } = await proofOf(scenario, third, { subject, roots, adjudicators });
        const [rating] = inputs;
        const [role] = roles;
        return {
          verdict: rating?.verdict,
          contested: rating?.contested,
          upheld: rating?.upheld,
          breaches: [role?.active.breaches, role?.dismissed.breaches],
        };
      };
      const [ofMary, ofAmina] = parties;
      const isDismissed = { verdict: 'dismissed', contested: true, upheld: false, breaches: [0, 1] };
      const counts = { verdict: 'active', contested: true, upheld: true, breaches: [1, 0] };
      expect(await shown(ofMary)).toEqual(isDismissed);
      expect(await shown(ofAmina)).toEqual(counts);
      // Who asks for the third node's view gets it.
      expect(await shown(ofAmina, [third.peerId])).toMatchObject({ verdict: 'dismissed', breaches: [0, 1] });

      // Both change their minds, cut off again: the last word of each node counts.
      scenario.cut(seller);
      scenario.cut(buyer);
      await say(scenario, buyer, ofSeller, ['uphold', 'facts-differ']);
      await say(scenario, seller, ofSeller, ['uphold', 'resolved']);
      await say(scenario, seller, ofBuyer, ['dismiss', 'resolved']);
      scenario.join(third, first === 'rater' ? seller : buyer);
      await scenario.until('the third node to hear one of them', async () => {
        const { notes } = await proofOf(scenario, third, ofMaryAtThird);
        return notes.length === 3;
      });
      scenario.heal();
      await scenario.settled(SETTLED_MS);
      for (const question of questions)
        expect(new Set(await bytesAt(scenario, question)).size, question.subject).toBe(1);
      expect(await shown(ofMary)).toEqual({ ...counts, contested: false });
      expect(await shown(ofAmina)).toMatchObject({ ...isDismissed });
    }),
);
