import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { AgrinetError } from '../protocols/errors.ts';
import { numberKey } from './keyspace.ts';
import type { HeadNote } from './level.ts';
import { causes } from './storage-error.ts';

/** Of the head file: the last commit's number, with a checksum, because a flipped bit in it would be an alarm about nothing. */
export function headText(no: number): string {
  const text = numberKey(no, 12);
  return `${text} ${numberKey(crc32(text))}`;
}

/** Opens the head file, or creates it. Throws `database-damaged` where a folder is in its place. */
export function openHead(file: string): HeadNote {
  const fd = openFile(file);
  return {
    read() {
      const text = readFileSync(file, 'utf8').trim();
      const no = Number.parseInt(text.slice(0, 12), 16);
      return Number.isSafeInteger(no) && text === headText(no) ? no : undefined;
    },
    write: (no) => void writeSync(fd, headText(no), 0),
    close: () => closeSync(fd),
  };
}

function openFile(file: string): number {
  try {
    closeSync(openSync(file, 'a+', 0o600));
    return openSync(file, 'r+');
  } catch (error) {
    if (!/EISDIR/.test(causes(error))) throw error;
    throw new AgrinetError('database-damaged', `${file} is a folder but must be a file; remove it`, {
      cause: error,
    });
  }
}
