import type { Context } from 'hono';
import type { TypedResponse } from 'hono/types';
import type { JSONValue } from 'hono/utils/types';
import { LRUCache } from 'lru-cache';

/** All kept pages together, in bytes: some hundred pages of fifty records. */
const KEPT_BYTES = 4 * 1024 * 1024;

interface Kept {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The metadata of a page. */
  readonly warning?: string;
}
type Make<T> = (warn: (text: string) => void) => Promise<T>;

/** A page as the typed client sees it. */
type PageAnswer<T> = Response & TypedResponse<T, 200, 'json'>;

/**
 * Pages of a list as the bytes that were sent, cached until the next write: market pages request the same first page repeatedly, and
 * reading it costs far more than sending it. The response must depend only on the query, not on the caller. `version` changes with
 * every write, so a caller always sees what was acknowledged before its request; concurrent requests for one page share one read.
 */
export function createListAnswers<T extends JSONValue | object>(version: () => number) {
  const kept = new LRUCache<string, Kept & { readonly version: number }>({
    maxSize: KEPT_BYTES,
    sizeCalculation: ({ bytes }, query) => bytes.length + query.length,
  });
  const under = new Map<string, Promise<Kept>>();

  async function read(query: string, at: number, make: Make<T>): Promise<Kept> {
    let warning: string | undefined;
    const page = await make((text) => {
      warning = text;
    });
    const bytes = new TextEncoder().encode(JSON.stringify(page));
    const made = warning === undefined ? { bytes } : { bytes, warning };
    kept.set(query, { version: at, ...made });
    return made;
  }

  async function keptOf(query: string, make: Make<T>): Promise<Kept> {
    const at = version();
    const known = kept.get(query);
    if (known?.version === at) return known;
    const name = `${at} ${query}`;
    let reading = under.get(name);
    if (reading === undefined) {
      reading = read(query, at, make).finally(() => under.delete(name));
      under.set(name, reading);
    }
    return reading;
  }

  /** Answers with the page that `query` names; `make` reads it when it is not at hand. */
  return async (c: Context, query: string, make: Make<T>): Promise<PageAnswer<T>> => {
    const { bytes, warning } = await keptOf(query, make);
    if (warning !== undefined) c.header('warning', warning, { append: true });
    const answer: Response = c.body(bytes, 200, { 'content-type': 'application/json' });
    return answer as PageAnswer<T>; // the bytes are the JSON of a T
  };
}
