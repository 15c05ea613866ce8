import { isUtf8 } from 'node:buffer';
import { link, mkdtemp, open, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ErrorCode } from '../protocols/error-codes.ts';
import { AgrinetError, errorMessage, systemCode } from '../protocols/errors.ts';
import { shellWord } from './setting-values.ts';

/** Far above any key we write; a larger file is not one of ours. */
const MAX_BYTES = 4096;

/**
 * The text of a file that only its owner may read; undefined when there is none. Throws `code` when it is readable by others, not a
 * file, or too large, and `folder-unwritable` when it cannot be read. No message repeats its content.
 */
export async function readSecretFile(
  path: string,
  code: ErrorCode,
  most = MAX_BYTES,
): Promise<string | undefined> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw folderError(path, error);
  }
  try {
    const { mode, size } = await file.stat().then((stats) => {
      if (!stats.isFile())
        throw new AgrinetError(code, `${path} is not a regular file. Put your copy of it there.`);
      return stats;
    });
    if ((mode & 0o077) !== 0 && process.platform !== 'win32') {
      const octal = (mode & 0o777).toString(8);
      throw new AgrinetError(
        code,
        `${path} can be read or changed by others (mode ${octal}). Run: chmod 600 ${shellWord(path)}`,
      );
    }
    if (size > most)
      throw new AgrinetError(code, `${path} is too large to be a key. Put your copy of it there.`);
    const bytes = await file.readFile();
    if (!isUtf8(bytes))
      throw new AgrinetError(code, `${path} is not text in UTF-8. Put your copy of it there.`);
    return bytes.toString().replace(/^\uFEFF/, '');
  } finally {
    await file.close();
  }
}

/**
 * Writes a new secret file, mode 0600, and makes its folder (0700). It appears whole or not at all, survives a power
 * loss once this returns, and never replaces one that is there: false when another process was faster.
 */
export async function createSecretFile(path: string, content: string): Promise<boolean> {
  let created = true;
  // A rename would replace the key of a process that starts at the same moment.
  await placeSecretFile(path, content, async (temporary) => {
    await link(temporary, path).catch((error: unknown) => {
      if (systemCode(error) !== 'EEXIST') throw error;
      created = false;
    });
  });
  return created;
}

/** The same, in the place of one that may be there. */
export async function replaceSecretFile(path: string, content: string): Promise<void> {
  await placeSecretFile(path, content, (temporary) => rename(temporary, path));
}

async function placeSecretFile(
  path: string,
  content: string,
  place: (temporary: string) => Promise<void>,
): Promise<void> {
  const folder = dirname(path);
  try {
    // Commands that only read a key load none of it.
    const { makeFolder } = await import('../storage/folder.ts');
    await makeFolder(folder);
    // A folder of its own (0700): nobody else uses its name, whatever other processes have left there.
    const apart = await mkdtemp(`${path}.tmp-`);
    try {
      const temporary = join(apart, 'file');
      const file = await open(temporary, 'wx', 0o600);
      try {
        await file.writeFile(content);
        await file.sync();
      } finally {
        await file.close();
      }
      await place(temporary);
    } finally {
      await rm(apart, { recursive: true, force: true });
    }
    const directory = await open(folder, 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  } catch (error) {
    throw folderError(path, error);
  }
}

function folderError(path: string, cause: unknown): AgrinetError {
  if (systemCode(cause) === 'ENOSPC' || systemCode(cause) === 'EDQUOT') {
    return new AgrinetError(
      'disk-full',
      `No space left to write ${path} (space, or inodes: df -h, df -i). Free some and start again.`,
      {
        cause,
      },
    );
  }
  const reason = systemCode(cause) ?? errorMessage(cause);
  const advice = 'Give this user read and write access to the folder, or set another DATA_DIR.';
  return new AgrinetError('folder-unwritable', `Cannot open ${path} (${reason}). ${advice}`, { cause });
}
