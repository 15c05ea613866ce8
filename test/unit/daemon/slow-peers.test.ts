import { expect, it } from 'vitest';
import { createSlowPeers } from '../../../daemon/slow-peers.ts';

const MINUTE = 60_000;

it('names a slow peer at once, then every ten minutes with how often it was; of other failures nothing', () => {
  const lines: unknown[] = [];
  let now = 0;
  const warn = (fields: object): void => void lines.push(fields);
  const tell = createSlowPeers({ warn }, () => now);
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
