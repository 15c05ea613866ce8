import { type Env, pause } from '../protocols/env.ts';
import { errorAnswer, isClientGone } from './errors.ts';

/** Lines of JSON, one for each step. */
export const NDJSON = 'application/x-ndjson';
/** Between two lines of progress, milliseconds. */
const LINE_MS = 200;

const encoder = new TextEncoder();
const line = (value: object): Uint8Array => encoder.encode(`${JSON.stringify(value)}\n`);

/**
 * Lines `{done, total}` during long work; the last has `finished` and the result, or `error`. The work continues when the client is
 * gone.
 */
export async function* progressLines(
  env: Pick<Env, 'after'>,
  work: (onProgress: (done: number, total: number) => void) => Promise<object>,
  onFailure: (error: unknown) => void,
): AsyncGenerator<Uint8Array> {
  let at = { done: 0, total: 0 };
  let told = false;
  const later = (): Promise<false> => pause(env, LINE_MS).then(() => false);
  const running = work((done, total) => (at = { done, total }));
  const ended = running.then(
    () => true,
    () => true,
  );
  try {
    for (; !told; told = await Promise.race([ended, later()])) yield line(at);
    yield line({ finished: true, ...(await running) });
  } catch (error) {
    const { status, body } = errorAnswer(error);
    if (status === 500 && !isClientGone(error)) onFailure(error);
    yield line(body);
  }
}
