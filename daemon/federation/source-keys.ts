import { join } from 'node:path';
import { AgrinetError } from '../../protocols/errors.ts';
import { parsedJson } from '../../protocols/wire/json.ts';
import { readSecretFile, replaceSecretFile } from '../secret-file.ts';
import { SerialQueue } from '../../protocols/serial-queue.ts';

/** The file as a whole: room for a key of each old back end that any region has. */
export const SOURCE_KEYS_BYTES = 32 * 1024;
/** Characters that may be in a header, without spaces. */
export const SOURCE_KEY = /^[\x21-\x7e]{1,512}$/;

/** Where the keys are with which this node asks old back ends: not in the database, so that no copy of that alone holds one. */
export function sourceKeysPath(dataDir: string): string {
  return join(dataDir, 'source-keys');
}

/** Keys that other nodes' operators gave to this one, each for one source; they are never shown again. */
export interface SourceKeys {
  get(id: string): string | undefined;
  /** On disk when it resolves; takes the place of an earlier one. Throws `fields-invalid`, `keys-full`. */
  set(id: string, key: string): Promise<void>;
  remove(id: string): Promise<void>;
}

/** Throws `source-keys-invalid` when the file can be read by others, or is not ours. */
export async function openSourceKeys(dataDir: string): Promise<SourceKeys> {
  const path = sourceKeysPath(dataDir);
  let keys = parsed(path, await readSecretFile(path, 'source-keys-invalid', SOURCE_KEYS_BYTES));
  /** Each change writes all that are kept. */
  const changes = new SerialQueue();

  function change(alter: (edited: Map<string, string>) => boolean): Promise<void> {
    return changes.run(async () => {
      const edited = new Map(keys);
      if (!alter(edited)) return;
      const text = `${JSON.stringify(Object.fromEntries([...edited].sort(([a], [b]) => (a < b ? -1 : 1))))}\n`;
      if (Buffer.byteLength(text) > SOURCE_KEYS_BYTES)
        throw new AgrinetError('keys-full', 'too many source keys are stored; revoke a node first');
      await replaceSecretFile(path, text);
      keys = edited;
    });
  }

  return {
    get: (id) => keys.get(id),
    async set(id, key) {
      if (!SOURCE_KEY.test(key))
        throw new AgrinetError('fields-invalid', 'key: must be 1 to 512 visible ASCII characters');
      await change((next) => {
        if (next.get(id) === key) return false;
        next.set(id, key);
        return true;
      });
    },
    remove: (id) => change((next) => next.delete(id)),
  };
}

function parsed(path: string, text: string | undefined): ReadonlyMap<string, string> {
  if (text === undefined) return new Map();
  const value = parsedJson(text); // an error of its own would quote the text
  const entries =
    typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.entries(value) : undefined;
  const found = new Map<string, string>();
  for (const [id, key] of entries ?? [])
    if (typeof key === 'string' && SOURCE_KEY.test(key)) found.set(id, key);
  if (entries === undefined || found.size !== entries.length)
    throw new AgrinetError(
      'source-keys-invalid',
      `${path} is not a valid file of source keys. Restore it from a backup, or remove it and give each source's key again: agrinet nodes add <url> --key-file <file>`,
    );
  return found;
}
