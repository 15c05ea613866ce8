import { describe, expect, it } from 'vitest';
import { AnswerSlots } from '../../../protocols/mycelium/answer-slots.ts';
import { RANGE_LIMITS } from '../../../protocols/mycelium/range.ts';

const { answering, answeringPerPeer, further } = RANGE_LIMITS;
type Release = NonNullable<ReturnType<AnswerSlots['take']>>;

/** Takes as many as there are for this peer. */
function all(slots: AnswerSlots, peer: string): Release[] {
  const taken: Release[] = [];
  for (let one = slots.take(peer); one !== undefined; one = slots.take(peer)) taken.push(one);
  return taken;
}

describe('places for answers', () => {
  it('RANGE_LIMITS.answeringPerPeer for one peer, and RANGE_LIMITS.answering in total', () => {
    const slots = new AnswerSlots(RANGE_LIMITS);
    expect(all(slots, 'one')).toHaveLength(answeringPerPeer);
    const others = Array.from({ length: answering }, (_, i) => slots.take(`peer ${i}`));
    expect(others.filter((each) => each !== undefined)).toHaveLength(answering - answeringPerPeer);
    others[0]?.('taken');
    expect(slots.take('another')).toBeDefined();
    expect(slots.take('one more')).toBeUndefined();
  });

  it('RANGE_LIMITS.further beyond the first of each peer, all together: four peers do not hold all of them', () => {
    const slots = new AnswerSlots(RANGE_LIMITS);
    const taken = ['a', 'b', 'c', 'd'].flatMap((peer) => all(slots, peer));
    expect(taken).toHaveLength(4 + further);
    expect(taken.length).toBeLessThan(answering);
    expect(slots.take('a')).toBeUndefined();
    expect(slots.take('honest')).toBeDefined();
  });

  it('one at a time for whoever was slow, until it has taken one whole; half of the places for all who were', () => {
    const slots = new AnswerSlots(RANGE_LIMITS);
    const slow = Array.from({ length: 3 * answering }, (_, i) => `slow ${i}`);
    for (const peer of slow) slots.take(peer)?.('slow');
    const held = slow.flatMap((peer) => all(slots, peer));
    expect(held).toHaveLength(answering / 2);
    // What fails for another reason says nothing of it.
    held[0]?.('failed');
    expect(all(slots, 'slow 0')).toHaveLength(1);
    expect(all(slots, 'honest')).toHaveLength(answeringPerPeer);
    for (const [n, release] of held.entries()) if (n > 0) release('taken');
    expect(all(slots, 'slow 1')).toHaveLength(answeringPerPeer);
  });
});
