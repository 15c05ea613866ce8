import type { Context } from 'hono';
import type { Env } from '../protocols/env.ts';
import { AgrinetError } from '../protocols/errors.ts';
import { isSequenceFault } from '../protocols/mycelium/sequence-fault.ts';
import { steady } from '../protocols/wire/steady.ts';

const KEPT = 'the body arrives too slowly; what has been received so far is kept';
const SEND_AGAIN = 'the body arrives too slowly; send it again';

/** The body as it comes, for routes that read it themselves; each counts for itself. Throws `body-slow`. */
export async function* bodyChunks(
  c: Context,
  env: Pick<Env, 'after' | 'monotonic'>,
  slow = KEPT,
): AsyncGenerator<Uint8Array> {
  const { body } = c.req.raw;
  const error = (): AgrinetError => new AgrinetError('body-slow', slow);
  if (body !== null) yield* steady(body, { error, env });
}

/** The whole body as bytes. Throws `body-too-large`. */
export async function bodyBytes(
  c: Context,
  env: Pick<Env, 'after' | 'monotonic'>,
  maxBytes: number,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of bodyChunks(c, env, SEND_AGAIN)) {
    bytes += chunk.length;
    if (bytes > maxBytes)
      throw new AgrinetError('body-too-large', `the body is larger than ${Math.floor(maxBytes / 1024)} KiB`);
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}

/** Errors of reading a body that is a sequence: malformed or truncated data is `body-malformed`. */
export async function sequenceRead<T>(reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    if (!isSequenceFault(error)) throw error;
    throw new AgrinetError('body-malformed', error.message, { cause: error });
  }
}
