import type { FramedStream } from '../wire/framed-stream.ts';

/** The frames that come until the other side closes, each within the time of its own signal. */
export async function* framesIn(frames: FramedStream, soon: () => AbortSignal): AsyncGenerator<Uint8Array> {
  for (;;) {
    const frame = await frames.read(soon());
    if (frame === null) return;
    yield frame;
  }
}
