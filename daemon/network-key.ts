import { readFile } from 'node:fs/promises';
import { AgrinetError, errorMessage } from '../protocols/errors.ts';

/** More than any such file has; a wrong path may name anything. */
const MOST_BYTES = 1024;
/** libp2p's format, of which its own reader takes base16 alone (https://github.com/libp2p/specs/blob/master/pnet/Private-Networks-PSK-V1.md). */
const KEY_FILE = /^\/key\/swarm\/psk\/1\.0\.0\/\r?\n\/base16\/\r?\n[0-9a-f]{64}\s*$/i;

/** Reads a libp2p pre-shared network key. Throws `settings-invalid` for any other file. */
export async function readNetworkKey(file: string): Promise<Uint8Array> {
  const bytes = await readFile(file).catch((error: unknown) => {
    throw invalid(`${file} cannot be read: ${errorMessage(error)}`, error);
  });
  if (bytes.length > MOST_BYTES || !KEY_FILE.test(bytes.toString('latin1')))
    throw invalid(
      `${file} is no pre-shared key: three lines, /key/swarm/psk/1.0.0/, /base16/ and 64 hexadecimal digits (openssl rand -hex 32). Use the file that the other nodes of the network have.`,
    );
  return new Uint8Array(bytes);
}

function invalid(what: string, cause?: unknown): AgrinetError {
  return new AgrinetError('settings-invalid', `MYCELIUM_PSK_FILE: ${what}`, { cause });
}
