import { beforeEach, expect, it } from 'vitest';
import { createPeerWarnings } from '../../../daemon/peer-warnings.ts';
import type { PullEvent } from '../../../protocols/mycelium/pull-event.ts';
import { randomFrom, someIdentity } from '../../support/forge.ts';

const MINUTE = 60_000;
const random = randomFrom(3);

let lines: unknown[] = [];
let now = 0;
let tell: (event: PullEvent) => void;
beforeEach(() => {
  [lines, now] = [[], 0];
  const note = (fields: object): void => void lines.push(fields);
  tell = createPeerWarnings({ warn: note, error: note }, () => now);
});

it('names a slow peer at once, then every ten minutes with how often it was; of other failures nothing', () => {
  const failed = (peer: string, code: string): void => tell({ kind: 'pull-failed', peer, code });
  failed('a', 'pull-slow');
  failed('b', 'answer-slow');
  failed('c', 'peer-sent-invalid');
  for (now = MINUTE; now < 10 * MINUTE; now += MINUTE) failed('a', 'stream-timeout');
  expect(lines).toEqual([
    { peer: 'a', code: 'pull-slow', times: 1 },
    { peer: 'b', code: 'answer-slow', times: 1 },
  ]);
  failed('a', 'pull-slow');
  expect(lines.slice(2)).toEqual([{ peer: 'a', code: 'pull-slow', times: 10 }]);
});

it('names a peer whose digests differ once in ten minutes, of however many authors and however often it shows them', () => {
  const authors = Array.from({ length: 1000 }, () => someIdentity(random).peerId);
  const [first] = authors;
  for (const peer of ['liar', 'other'])
    for (let round = 0; round < 10; round++)
      for (const author of authors) tell({ kind: 'digest-differs', peer, author });
  tell({ kind: 'pull-failed', peer: 'liar', code: 'pull-slow' });
  expect(lines).toEqual([
    { peer: 'liar', author: first, times: 1 },
    { peer: 'other', author: first, times: 1 },
    { peer: 'liar', code: 'pull-slow', times: 1 },
  ]);
  now = 10 * MINUTE;
  for (const author of authors) tell({ kind: 'digest-differs', peer: 'liar', author });
  expect(lines.slice(3)).toEqual([{ peer: 'liar', author: first, times: 10_000 }]);
});
