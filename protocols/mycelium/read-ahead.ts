/**
 * Gives what a source gives, and has the next one made meanwhile; never more than that one. Whoever stops before the end lets go of the
 * source at once: `onLeft` has to end what it waits for.
 */
export async function* readAhead<T>(source: AsyncGenerator<T>, onLeft: () => void): AsyncGenerator<T> {
  let next = source.next();
  try {
    for (let found = await next; found.done !== true; found = await next) {
      next = source.next();
      next.catch(() => undefined); // told when it is waited for
      yield found.value;
    }
  } finally {
    onLeft();
    // It finishes once its pending operation returns, which nobody here has to wait for.
    source.return(undefined).catch(() => undefined);
  }
}
