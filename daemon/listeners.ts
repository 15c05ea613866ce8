/** Those who are told of something that has happened, in the order in which they came. */
export interface Listeners<T> {
  readonly add: (name: string, listener: (told: T) => unknown) => void;
  /** Tells every one of them. Never throws: what has happened is not undone by who hears of it, and nobody's hearing by another's failure. */
  readonly tell: (told: T) => void;
}

/** `onFailure` is told which listener threw, or rejected later. */
export function createListeners<T>(onFailure: (listener: string, error: unknown) => void): Listeners<T> {
  const all: { readonly name: string; readonly hear: (told: T) => unknown }[] = [];
  return {
    add: (name, hear) => void all.push({ name, hear }),
    tell(told) {
      for (const { name, hear } of all) {
        try {
          const heard = hear(told);
          if (heard instanceof Promise) heard.catch((error: unknown) => onFailure(name, error));
        } catch (error) {
          onFailure(name, error);
        }
      }
    },
  };
}
