import type { Env } from '../env.ts';
import { AgrinetError } from '../errors.ts';
import { ByteQueue } from '../wire/byte-queue.ts';
import { hex } from '../wire/bytes.ts';
import { encodeCbor } from '../wire/cbor.ts';
import { CpuTurn } from '../wire/cpu-turn.ts';
import { LIMITS } from '../wire/limits.ts';
import { decodeFrontier, type FrontierPage } from './frontier-page.ts';
import { bytesPlace } from './range-item.ts';

/**
 * A frontier over HTTP, `application/cbor-seq`: its pages, each as a byte string, and as the last item 32 bytes, the total digest.
 * It is read page by page: a megabyte of JSON blocks the thread for 40 ms, and sixteen of them took 550 MB.
 */
export const FRONTIER_SEQUENCE = 'application/cbor-seq';

export const FRONTIER_SEQUENCE_LIMITS = {
  /** Pages of one answer: about 40,000 feeds, more than a full registry and its private channels show. */
  sequencePages: 256,
  /** One whole answer. */
  sequenceBytes: 256 * (LIMITS.frontierBytes + 5) + 34,
} as const;

const DIGEST_BYTES = 32;

/** One item of the sequence: a page, or the digest at its end. */
export function sequenceItem(bytes: Uint8Array): Uint8Array {
  return encodeCbor(bytes);
}

/**
 * Reads pages as they arrive; returns the total digest, hex. Yields between pages. Throws `frontier-malformed`, what reading a page
 * throws, and `stream-truncated` for a sequence that ends too early: behind a proxy that uses HTTP/1.0, nothing else shows that the
 * source was stopped.
 */
export async function* readFrontierSequence(
  source: AsyncIterable<Uint8Array>,
  env: Pick<Env, 'after' | 'cpu' | 'monotonic'>,
): AsyncGenerator<FrontierPage, string> {
  const queue = new ByteQueue();
  const turn = new CpuTurn(env);
  /** An item as long as a digest is the digest only if nothing follows it; otherwise it is a page. */
  let held: Uint8Array | undefined;
  let pages = 0;
  for await (const chunk of source) {
    queue.push(chunk);
    for (;;) {
      const place = bytesPlace((offset) => queue.at(offset), 0, LIMITS.frontierBytes);
      if (place === 'malformed')
        throw new AgrinetError('frontier-malformed', 'not a sequence of frontier pages');
      if (place === undefined || queue.length < place.end) break;
      const item = queue.take(place.end).subarray(place.start);
      const before = held;
      held = item.length === DIGEST_BYTES ? item : undefined;
      for (const page of [before, item]) {
        if (page === undefined || page === held) continue;
        if (++pages > FRONTIER_SEQUENCE_LIMITS.sequencePages)
          throw new AgrinetError('frontier-malformed', 'a frontier of too many pages');
        await turn.pause();
        yield pageOf(page);
      }
    }
  }
  if (held === undefined || queue.length > 0)
    throw new AgrinetError('stream-truncated', 'the frontier ends before its last item');
  return hex(held);
}

/** An item as long as a digest that is not a page was a digest followed by something. */
function pageOf(item: Uint8Array): FrontierPage {
  try {
    return decodeFrontier(item);
  } catch (error) {
    if (item.length !== DIGEST_BYTES) throw error;
    throw new AgrinetError('frontier-malformed', 'a digest that is not the last item', { cause: error });
  }
}
