import { expect, it } from 'vitest';
import { Erasures, type ErasureParts } from '../../../daemon/erasure.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

it('stopped in the middle of a clearing, erasures wait for it, and what is erased later is left to the next start', async () => {
  const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
  const asked: string[] = [];
  const gone = { async *iterator() {}, async *keys() {} };
  const parts = {
    identity: nodeOf(1),
    db: {
      get level() {
        asked.push('database');
        return gone;
      },
    },
    store: { records: async () => [undefined] },
    events: {
      async forget() {
        asked.push('events');
        await held;
      },
    },
    search: { sweep: async () => undefined },
    now: () => 0,
    warn: () => undefined,
  } as unknown as ErasureParts;
  const erasures = new Erasures(parts);
  const key = (id: string): ReturnType<typeof recordKey> => recordKey('listings', nodeOf(2).peerId, id);
  erasures.committed([key('first')]);
  await new Promise(setImmediate);
  expect(asked).toContain('events');
  let hasStopped = false;
  const stopped = erasures.stop().then(() => (hasStopped = true));
  erasures.committed([key('second')]);
  await new Promise(setImmediate);
  expect(hasStopped).toBe(false);
  letGo();
  await stopped;
  asked.splice(0);
  erasures.committed([key('third')]);
  await erasures.cleared();
  await new Promise(setImmediate);
  expect(asked).toEqual([]);
});
