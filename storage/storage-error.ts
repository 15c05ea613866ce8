import { AgrinetError, errorMessage, systemCode } from '../protocols/errors.ts';

/** An error of the file system or LevelDB under its own code. */
export function storageError(error: unknown): AgrinetError {
  if (error instanceof AgrinetError) return error;
  const text = causes(error);
  if (/ENOSPC|No space left/i.test(text))
    return new AgrinetError(
      'disk-full',
      'the disk is full (space, or inodes: df -h, df -i); free some, and the node resumes by itself',
      {
        cause: error,
      },
    );
  if (/ENOTDIR|EEXIST/.test(text)) {
    return new AgrinetError(
      'folder-unwritable',
      `the data folder, or a folder in it, is a file: ${text.slice(0, 200)}`,
      { cause: error },
    );
  }
  if (/EACCES|EROFS|EPERM|Permission denied|Read-only/i.test(text)) {
    return new AgrinetError('folder-unwritable', `cannot write to the data folder: ${text.slice(0, 200)}`, {
      cause: error,
    });
  }
  return new AgrinetError('storage-failed', `the database cannot write: ${text.slice(0, 200)}`, {
    cause: error,
  });
}

/** The messages of an error and its causes, on one line. */
export function causes(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  const [code, message] = [systemCode(error), errorMessage(error)];
  const named = message.includes(code) ? message : `${code} ${message}`;
  return `${named}${cause === undefined ? '' : ` ${causes(cause)}`}`.trim();
}

/**
 * Whether LevelDB says that its files are damaged. It maps tables into memory: for one that has become shorter it says `Invalid
 * argument`, and for something that is not a file `No such device`.
 */
export function isCorruption(error: unknown): boolean {
  return /LEVEL_CORRUPTION|Corruption|missing files|\.(ldb|sst): (Invalid argument|No such device)/i.test(
    causes(error),
  );
}

/** At an opening: LevelDB misses one of its files, or finds a folder in its place. */
export function isIncomplete(error: unknown): boolean {
  return /No such file|Is a directory|Not a directory|does not exist/i.test(causes(error));
}

/** A database that maintenance may look at but not repair. */
export function damaged(folder: string, cause: unknown): AgrinetError {
  return new AgrinetError(
    'database-damaged',
    `${folder} is damaged; \`agrinet rebuild\` and every start of the node repair what can be read, after keeping a copy`,
    { cause },
  );
}
