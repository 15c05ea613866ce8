import { AsyncLocalStorage } from 'node:async_hooks';
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';

/** What a machine has of its own: with any of it a run could not be had again. */
const OF_THE_MACHINE: readonly (readonly [owner: object, name: string])[] = [
  [Date, 'now'],
  [performance, 'now'],
  [Math, 'random'],
  [crypto, 'randomBytes'],
  [crypto, 'randomUUID'],
  [globalThis, 'setTimeout'],
  [globalThis, 'setInterval'],
  [globalThis, 'setImmediate'],
  [AbortSignal, 'timeout'],
  [process, 'threadCpuUsage'],
];

/** Who called, as far as it is the program: whatever runs a test keeps time of its own. */
function callersOfOurs(): string[] {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 12;
  const { stack = '' } = new Error('by');
  Error.stackTraceLimit = limit;
  return stack
    .split('\n')
    .filter((line) => /[/](protocols|storage|daemon)[/]/.test(line) && !line.includes('node_modules'));
}

/** Set in all that a world causes, and in nothing that an earlier test of this process has left behind. */
const ofWorld = new AsyncLocalStorage<true>();

/**
 * Runs work during which nobody gets time, waiting or chance from the machine: `onAsked` is told who tries, and by whom it was called.
 * The call is answered all the same, because what fails half-way says less.
 */
export async function withoutMachine<T>(onAsked: (what: string) => void, work: () => Promise<T>): Promise<T> {
  const kept = OF_THE_MACHINE.map(([owner, name]) => {
    const own: unknown = Reflect.get(owner, name);
    if (typeof own !== 'function') throw new TypeError(`${name} is no function`);
    const watched = (...args: unknown[]): unknown => {
      const by = ofWorld.getStore() === true ? callersOfOurs() : [];
      if (by.length > 0) onAsked(`${name} of the machine was asked for ${by.slice(0, 5).join(' ')}`);
      return Reflect.apply(own, owner, args);
    };
    Reflect.set(owner, name, watched);
    return { owner, name, own };
  });
  syncBuiltinESMExports();
  try {
    return await ofWorld.run(true, work);
  } finally {
    for (const { owner, name, own } of kept) Reflect.set(owner, name, own);
    syncBuiltinESMExports();
  }
}
