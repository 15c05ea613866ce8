import { AgrinetError } from '../errors.ts';
import { ByteQueue } from '../wire/byte-queue.ts';
import { encodeCbor } from '../wire/cbor.ts';
import { bytesPlace } from './range-item.ts';
import { malformed, SNAPSHOT_STREAM_LIMITS } from './snapshot-request.ts';

/**
 * The frames of an answer over HTTP, `application/cbor-seq`: each as a byte string, and behind the last one an empty one. Behind a proxy that
 * uses HTTP/1.0 nothing else shows that the holder was stopped.
 */
export async function* snapshotSequence(frames: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const frame of frames) yield encodeCbor(frame);
  yield encodeCbor(new Uint8Array(0));
}

/** Reads such a sequence, frame by frame, in the memory of one. Throws `snapshot-malformed`, and `stream-truncated` for one without its end. */
export async function* readSnapshotSequence(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const queue = new ByteQueue();
  let isOver = false;
  for await (const bytes of source) {
    queue.push(bytes);
    while (queue.length > 0) {
      if (isOver) throw malformed('something behind the end of an answer');
      const place = bytesPlace((offset) => queue.at(offset), 0, SNAPSHOT_STREAM_LIMITS.frameBytes);
      if (place === 'malformed') throw malformed('not a sequence of frames');
      if (place === undefined || queue.length < place.end) break;
      const frame = queue.take(place.end).slice(place.start);
      if (frame.length === 0) isOver = true;
      else yield frame;
    }
  }
  if (!isOver) throw new AgrinetError('stream-truncated', 'the answer ends before its end');
}
