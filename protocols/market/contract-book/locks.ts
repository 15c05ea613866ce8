/** Runs one piece of work at a time for each name, in the order of asking. */
export type Locks = <T>(name: string, work: () => Promise<T>) => Promise<T>;

export function createLocks(): Locks {
  const tails = new Map<string, Promise<void>>();
  return async (name, work) => {
    const before = tails.get(name) ?? Promise.resolve();
    let free = (): void => undefined;
    const mine = new Promise<void>((resolve) => {
      free = resolve;
    });
    const tail = before.then(() => mine);
    tails.set(name, tail);
    await before;
    try {
      return await work();
    } finally {
      free();
      if (tails.get(name) === tail) tails.delete(name);
    }
  };
}
