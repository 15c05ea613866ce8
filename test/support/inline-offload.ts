import { constants, gunzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import type { Offload } from '../../protocols/env.ts';

/** Everything at once and on this thread, so that nothing depends on which thread is ready first. */
export const inlineOffload: Offload = {
  compress: async (bytes, level) =>
    zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: level } }),
  decompress: async (frame, { maxBytes, windowLog }) =>
    zstdDecompressSync(frame, {
      maxOutputLength: maxBytes,
      params: { [constants.ZSTD_d_windowLogMax]: windowLog },
    }),
  async *gunzip(source) {
    yield gunzipSync(Buffer.concat(await Array.fromAsync(source)));
  },
};
