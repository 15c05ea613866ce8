import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { agrinetHere } from '../../../support/cli.ts';
import { tempDir } from '../../../support/temp-dir.ts';
import type { CasesOf } from './case.ts';

/** Whether a file of so many bytes is read; what it says is no deal. */
async function verified(bytes: number): Promise<string> {
  const dir = tempDir('note-limit');
  try {
    const file = join(dir.path, 'note.json');
    writeFileSync(file, '{}'.padEnd(bytes));
    const { code, stderr } = await agrinetHere(undefined, ['contract', 'verify', file]);
    return `${code} ${stderr.includes('larger than a deal note') ? 'too large' : 'read'}`;
  } finally {
    dir.remove();
  }
}

export const NOTE_CASES: CasesOf<'protocols/market/deal-note/verify.ts'> = {
  fileBytes: { over: 'file', send: (_, n) => verified(n), gives: ['96 read', '96 read', '96 too large'] },
};
