import { expect, it } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { withoutMachine } from '../../sim/world/machine.ts';

it('a world is told of whatever it asks of the machine, and of nothing that an earlier test left running', async () => {
  const left = Promise.withResolvers<number>();
  setTimeout(() => left.resolve(systemEnv.now()), 1);
  const asked: string[] = [];
  const note = (what: string): number => asked.push(what.split(' ')[0] ?? '');
  await withoutMachine(note, async () => {
    expect(await left.promise).toBeGreaterThan(0);
    expect(asked).toEqual([]);
    systemEnv.monotonic();
    await new Promise<void>((resolve) =>
      systemEnv.after(0, () => {
        systemEnv.random();
        resolve();
      }),
    );
  });
  expect(asked).toEqual(['now', 'setImmediate', 'random']);
});
