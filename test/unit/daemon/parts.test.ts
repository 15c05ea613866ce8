import { describe, expect, it } from 'vitest';
import { definePart, type Part, PartList } from '../../../daemon/parts.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import type { Env, Timer } from '../../../protocols/env.ts';

interface Told {
  readonly log: string[];
  readonly warned: unknown[];
}

/** A list whose clock stands still until `due` calls what waits. */
function listed() {
  const told: Told = { log: [], warned: [] };
  const waiting = new Set<() => void>();
  const env: Pick<Env, 'after'> = {
    after(_, call): Timer {
      waiting.add(call);
      return { cancel: () => void waiting.delete(call) };
    },
  };
  const warn = (fields: unknown): void => void told.warned.push(fields);
  const due = (): void => {
    waiting.forEach((call) => call());
  };
  const parts = new PartList(env, { warn });
  const add = (name: string, other: Partial<Part> = {}): Part =>
    parts.add({
      name,
      start: async () => void told.log.push(`start ${name}`),
      stop: async () => void told.log.push(`stop ${name}`),
      ...other,
    });
  return { parts, add, due, waiting, ...told };
}

describe('a list of parts', () => {
  it('starts forward, each when the one before it has started, and stops in reverse, each once', async () => {
    const { parts, add, log, waiting } = listed();
    for (const name of ['a', 'b', 'c']) add(name);
    await parts.start();
    expect(parts.names).toEqual(['a', 'b', 'c']);
    await parts.stop();
    await parts.stop();
    expect(log).toEqual(['start a', 'start b', 'start c', 'stop c', 'stop b', 'stop a']);
    expect(waiting.size).toBe(0);
  });

  it('stops in reverse what has started when one fails to, and says why it failed', async () => {
    const { parts, add, log } = listed();
    add('a');
    add('b');
    add('c', { start: () => Promise.reject(new RangeError('no port')) });
    add('d');
    await expect(parts.start()).rejects.toThrow('no port');
    expect(log).toEqual(['start a', 'start b', 'stop b', 'stop a']);
  });

  it('goes on with the others when one does not stop: it throws, rejects, or never ends', async () => {
    const { parts, add, log, warned, due, waiting } = listed();
    add('a');
    const begun = Promise.withResolvers<void>();
    add('late', {
      stop() {
        begun.resolve();
        return new Promise(() => undefined);
      },
    });
    add('rejects', { stop: () => Promise.reject(new RangeError('rejected')) });
    add('throws', {
      stop() {
        throw new RangeError('thrown');
      },
    });
    await parts.start();
    const stopped = parts.stop();
    await begun.promise;
    due();
    await stopped;
    expect(log.at(-1)).toBe('stop a');
    expect(warned).toMatchObject([
      { part: 'throws', err: { message: 'thrown' } },
      { part: 'rejects', err: { message: 'rejected' } },
      { part: 'late', err: { code: 'stop-late' } },
    ]);
    expect(waiting.size).toBe(0);
  });

  it('starts what was added later, and what it has stopped', async () => {
    const { parts, add, log } = listed();
    add('a');
    await parts.start();
    add('b');
    await parts.start();
    expect(log).toEqual(['start a', 'start b']);
  });
});

describe('a part', () => {
  it('shows what others use of it once it has started, and says so when asked before', async () => {
    const part = definePart('pantry', () => ({ face: { jam: 3 } }));
    expect(() => part.face).toThrow('the part "pantry" is used before its start');
    const parts = new PartList(systemEnv, { warn: () => undefined });
    parts.add(part);
    await parts.start();
    expect(part.face.jam).toBe(3);
    await parts.stop();
  });
});
