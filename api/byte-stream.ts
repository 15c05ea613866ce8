import type { ByteSource } from './ports/backup.ts';

/**
 * Bytes as the body of an answer or a request: asked for piece by piece, so that a slow reader slows the source and a reader that is
 * gone ends it, iterators of the database included. `onError` sees what breaks it off; the other side sees only that.
 */
export function byteStream(
  source: ByteSource,
  onError: (error: unknown) => void = () => undefined,
): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await source.next();
          if (done === true) controller.close();
          else controller.enqueue(value);
        } catch (error) {
          onError(error);
          controller.error(error);
        }
      },
      async cancel() {
        await source.return(undefined);
      },
    },
    { highWaterMark: 0 },
  );
}
