import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { AgrinetError, errorMessage } from '../../protocols/errors.ts';
import { type Fence, fenceFromGeoJson, fenceFromText } from '../../protocols/market/geofence.ts';

/** A country in detail has a few MiB; a larger file is something else. */
const FILE_BYTES = 16 * 1024 * 1024;

/** The fence of GEOFENCE: a circle, or the path of a GeoJSON file. Throws `settings-invalid`, which says what is wrong. */
export async function readFence(text: string): Promise<Fence> {
  try {
    return fenceFromText(text) ?? fenceFromGeoJson(await jsonOf(resolve(text)));
  } catch (error) {
    if (error instanceof AgrinetError)
      throw new AgrinetError('settings-invalid', error.message, { cause: error });
    throw error;
  }
}

/** The content of a JSON file. Throws `settings-invalid`. */
export async function jsonOf(path: string): Promise<unknown> {
  const refuse = (why: string, cause?: unknown): AgrinetError =>
    new AgrinetError('settings-invalid', `GEOFENCE: ${path} ${why}`, { cause });
  let text: string;
  try {
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      if (size > FILE_BYTES) throw refuse(`is larger than ${FILE_BYTES} bytes; simplify the polygon`);
      text = await file.readFile('utf8');
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof AgrinetError) throw error;
    throw refuse(`cannot be read: ${errorMessage(error)}`, error);
  }
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (error) {
    throw refuse('is not JSON', error);
  }
}
