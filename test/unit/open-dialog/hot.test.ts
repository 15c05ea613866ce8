import { expect, it } from 'vitest';
import { type ActorSeq, evictActors, HOT } from '../../../protocols/open-dialog/hot.ts';

it('an actor that was only met takes nobody’s place, and is not counted as one who went', () => {
  const seqs: Record<string, ActorSeq> = { met: [0, 0] };
  for (let i = 0; i < HOT.actors; i++) seqs[`actor ${i}`] = [1, i + 2];
  expect(evictActors(seqs)).toBe(0);
  expect(Object.keys(seqs)).toHaveLength(HOT.actors + 1);
  seqs['one more'] = [1, 100];
  expect(evictActors(seqs)).toBe(1);
  expect(seqs['actor 0']).toBeUndefined();
  expect(seqs['met']).toEqual([0, 0]);
});
