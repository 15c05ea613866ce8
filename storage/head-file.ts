import { closeSync, openSync, readFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { AgrinetError } from '../protocols/errors.ts';
import { numberKey } from './keyspace.ts';
import { causes } from './storage-error.ts';

/** Of the head file: the last commit's number, with a checksum, because a flipped bit in it would be an alarm about nothing. */
export function headText(no: number): string {
  const text = numberKey(no, 12);
  return `${text} ${numberKey(crc32(text))}`;
}

/** Undefined when nothing is noted, or it is damaged: it is a hint, and the next commit notes it anew. */
export function readHead(file: string): number | undefined {
  const text = readFileSync(file, 'utf8').trim();
  const no = Number.parseInt(text.slice(0, 12), 16);
  return Number.isSafeInteger(no) && text === headText(no) ? no : undefined;
}

/** Opens the head file for writing, and makes it where there is none. Throws `database-damaged` where a folder lies in its place. */
export function openHead(file: string): number {
  try {
    closeSync(openSync(file, 'a+', 0o600));
    return openSync(file, 'r+');
  } catch (error) {
    if (!/EISDIR/.test(causes(error))) throw error;
    throw new AgrinetError('database-damaged', `${file} is a folder and has to be a file; remove it`, {
      cause: error,
    });
  }
}
