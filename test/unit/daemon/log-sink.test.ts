import { describe, expect, test } from 'vitest';
import type { Output } from '../../../daemon/log-output.ts';
import { LogSink } from '../../../daemon/log-sink.ts';
import { systemEnv } from '../../../daemon/system-env.ts';

/** An output of which the test says how each write goes. Writes are done in the next turn, as those of a file are. */
function output() {
  const state = { text: '', room: Infinity, error: 'ENOSPC', writes: 0, destroyed: false, stalled: false };
  const take = (bytes: Uint8Array): number => {
    state.writes++;
    const size = Math.min(bytes.length, state.room);
    if (size === 0) throw Object.assign(new Error(state.error), { code: state.error });
    state.room -= size;
    state.text += Buffer.from(bytes.subarray(0, size)).toString();
    return size;
  };
  const out: Output = {
    write: (bytes, done) => {
      if (state.stalled) return;
      setImmediate(() => {
        try {
          done(null, take(bytes));
        } catch (error) {
          done(error as Error, 0); // made above
        }
      });
    },
    writeNow: take,
    destroy: () => (state.destroyed = true),
  };
  return { state, out };
}

function sinkOf(backlogBytes?: number) {
  const { state, out } = output();
  const clock = { now: 0 };
  const sink = new LogSink(out, {
    env: { ...systemEnv, monotonic: () => clock.now },
    notice: (dropped) => `(${dropped} dropped)\n`,
    ...(backlogBytes === undefined ? {} : { backlogBytes }),
  });
  return { state, clock, sink };
}
const turns = async (count = 8): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((next) => setImmediate(next));
};

describe('a log whose output fails', () => {
  test.each(['ENOSPC', 'EPIPE', 'EIO', 'EBADF', 'EDQUOT', 'EFBIG'])(
    '%s: lines are dropped and counted, the output is tried once a second, and the count is the first line after',
    async (code) => {
      const { state, clock, sink } = sinkOf();
      sink.write('one\n');
      await turns();
      Object.assign(state, { room: 0, error: code });
      sink.write('two\n');
      await turns();
      const writes = state.writes;
      for (let i = 0; i < 1000; i++) sink.write('lost\n');
      await turns();
      expect([sink.dropped(), state.writes]).toEqual([1001, writes]);
      clock.now = 1000;
      sink.write('still full\n');
      await turns();
      expect([sink.dropped(), state.writes]).toEqual([1002, writes + 1]);
      state.room = Infinity;
      clock.now = 2000;
      sink.write('room\n');
      sink.write('again\n');
      await turns();
      expect(state.text).toBe('one\n(1002 dropped)\nroom\nagain\n');
      expect(sink.dropped()).toBe(1002);
    },
  );

  test('a notice that does not get out is not lost, nor counted as a line', async () => {
    const { state, clock, sink } = sinkOf();
    state.room = 0;
    for (clock.now = 0; clock.now < 5000; clock.now += 1000) {
      sink.write('lost\n');
      await turns();
    }
    state.room = Infinity;
    sink.write('here\n');
    await turns();
    expect(state.text).toBe('(5 dropped)\nhere\n');
  });

  test('a line of which a part got out ends before the next begins', async () => {
    const { state, clock, sink } = sinkOf();
    state.room = 4;
    sink.write('half of it\n');
    await turns();
    state.room = Infinity;
    clock.now = 1000;
    sink.write('whole\n');
    await turns();
    expect(state.text).toBe('half\n(1 dropped)\nwhole\n');
  });

  test('one that takes nothing costs no more than the backlog, and the end waits for it only so long', async () => {
    const { state, sink } = sinkOf(100);
    state.stalled = true;
    for (let i = 0; i < 100; i++) sink.write('0123456789\n');
    expect(sink.dropped()).toBeGreaterThan(85);
    await sink.close(10);
    expect(state.destroyed).toBe(true);
    sink.write('after the end\n');
  });

  test('the end waits for what is on its way', async () => {
    const { state, sink } = sinkOf();
    for (let i = 0; i < 5; i++) sink.write(`${i}\n`);
    await sink.close(5000);
    expect(state.text).toBe('0\n1\n2\n3\n4\n');
  });

  test.each([0, 5])(
    'a process that ends without closing writes what it can at once and does not try for ever: room for %i bytes',
    async (room) => {
      const { state, sink } = sinkOf();
      state.stalled = true;
      for (let i = 0; i < 5; i++) sink.write(`${i}\n`);
      state.room = room;
      sink.flushNow();
      expect(state.text).toBe('1\n2\n3'.slice(0, room)); // the first is in a write that did not come back
    },
  );
});
