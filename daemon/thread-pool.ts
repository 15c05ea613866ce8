import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { constants, createGunzip, zstdCompress, zstdDecompress } from 'node:zlib';
import type { Offload } from '../protocols/env.ts';

const zstd = promisify(zstdCompress);
const unzstd = promisify(zstdDecompress);

/** libuv's threads, by way of zlib. */
export const threadPool: Offload = {
  compress: (bytes, level) => zstd(bytes, { params: { [constants.ZSTD_c_compressionLevel]: level } }),
  decompress: (frame, { maxBytes, windowLog }) =>
    unzstd(frame, {
      maxOutputLength: maxBytes,
      params: { [constants.ZSTD_d_windowLogMax]: windowLog },
    }),
  async *gunzip(source) {
    const gunzip = createGunzip();
    // Its failure is handled where it is read; this only prevents an unhandled rejection.
    const done = pipeline(Readable.from(source), gunzip).catch(() => undefined);
    try {
      yield* gunzip as AsyncIterable<Uint8Array>;
    } finally {
      gunzip.destroy();
      await done;
    }
  },
};
