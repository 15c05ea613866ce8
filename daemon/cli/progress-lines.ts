import { z } from 'zod';
import { AgrinetError } from '../../protocols/errors.ts';
import { readLines } from '../../protocols/market/lines.ts';
import { printable } from './output.ts';

const Step = z.union([
  z.object({ done: z.number(), total: z.number() }),
  z.object({ error: z.string(), code: z.string() }),
]);
/** A line is a few numbers. */
const MAX_LINE = 65_536;

/** Follows the lines of long work in the daemon to the last one. Throws `request-refused` when it was broken off. */
export async function progressEnd<T>(
  response: Response,
  end: z.ZodType<T>,
  onProgress: (done: number, total: number) => void,
  what: string,
): Promise<T> {
  for await (const { text } of readLines(response.body ?? new ReadableStream(), MAX_LINE)) {
    const value: unknown = JSON.parse(text);
    const last = end.safeParse(value);
    if (last.success) return last.data;
    const line = Step.parse(value);
    if ('error' in line)
      throw new AgrinetError('request-refused', `the ${what} was aborted: ${printable(line.error, 300)}`);
    onProgress(line.done, line.total);
  }
  throw new AgrinetError(
    'request-refused',
    `the daemon closed the connection during the ${what}; run it again`,
  );
}
