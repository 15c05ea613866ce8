import { describe, expect, it } from 'vitest';
import { readAhead } from '../../../protocols/mycelium/read-ahead.ts';

/** Gives numbers up to `most`, then what `end` does; notes each that it is asked for, and that it was let go of. */
function counted(most: number, end: () => Promise<void> = async () => undefined) {
  const made: number[] = [];
  const left = Promise.withResolvers<void>();
  async function* numbers(): AsyncGenerator<number> {
    try {
      for (let i = 1; i <= most; i++) {
        made.push(i);
        yield i;
      }
      await end();
    } finally {
      left.resolve();
    }
  }
  return { source: numbers(), made, left: left.promise };
}

describe('reading ahead', () => {
  it('gives everything in order, with one more made and never two', async () => {
    const { source, made } = counted(4);
    const found: number[] = [];
    for await (const each of readAhead(source, () => undefined)) {
      found.push(each);
      expect(made).toHaveLength(Math.min(4, each + 1));
    }
    expect(found).toEqual([1, 2, 3, 4]);
  });

  it('gives what came before a failure, then the failure', async () => {
    const { source } = counted(2, () => Promise.reject(new Error('cut off')));
    const found: number[] = [];
    const all = (async () => {
      for await (const each of readAhead(source, () => undefined)) found.push(each);
    })();
    await expect(all).rejects.toThrow('cut off');
    expect(found).toEqual([1, 2]);
  });

  it('stops at once while the source waits, and the source is let go of', async () => {
    const waits = Promise.withResolvers<void>();
    const { source, left } = counted(1, () => waits.promise);
    for await (const each of readAhead(source, waits.resolve)) {
      expect(each).toBe(1);
      break;
    }
    await left;
  });
});
