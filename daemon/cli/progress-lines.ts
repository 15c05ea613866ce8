import { z } from 'zod';
import { AgrinetError } from '../../protocols/errors.ts';
import { readLines } from '../../protocols/market/lines.ts';
import { printable } from './output.ts';

const Progress = z.object({ done: z.number(), total: z.number() });
const Broken = z.object({ error: z.string(), code: z.string() });
/** A line is a key and a few words or numbers. */
const MAX_LINE = 65_536;

/** Follows the lines of long work in the daemon to the last one; `onOther` gets those that tell something else. Throws `request-refused` when it was broken off. */
export async function progressEnd<T>(
  response: Response,
  end: z.ZodType<T>,
  onProgress: (done: number, total: number) => void,
  what: string,
  onOther: (line: unknown) => void = (line) => void Progress.parse(line),
): Promise<T> {
  for await (const { text } of readLines(response.body ?? new ReadableStream(), MAX_LINE)) {
    const value: unknown = JSON.parse(text);
    const last = end.safeParse(value);
    if (last.success) return last.data;
    const broken = Broken.safeParse(value).data;
    if (broken !== undefined)
      throw new AgrinetError('request-refused', `the ${what} was aborted: ${printable(broken.error, 300)}`);
    const progress = Progress.safeParse(value).data;
    if (progress === undefined) onOther(value);
    else onProgress(progress.done, progress.total);
  }
  throw new AgrinetError(
    'request-refused',
    `the daemon closed the connection during the ${what}; run it again`,
  );
}
