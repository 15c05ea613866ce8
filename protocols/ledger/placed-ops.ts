import type { Entry } from '../feed/entry.ts';
import type { OpRef, PlacedOp } from '../open-dialog/record.ts';

/** The ops of an entry at their places; erased ones are left out, they have no effect. */
export function placedOps(entry: Entry): PlacedOp[] {
  const { author, header, arrived } = entry;
  return entry.body.flatMap((item, index) =>
    'op' in item
      ? [
          {
            author,
            channel: header.channel,
            epoch: header.epoch,
            seq: header.seq,
            index,
            bytes: item.op,
            time: header.time,
            arrived,
          },
        ]
      : [],
  );
}

/** The place and size of an op, without its content, which would be kept in memory with it. */
export function sizedRef({ author, channel, epoch, seq, index, bytes }: PlacedOp): {
  readonly ref: OpRef;
  readonly size: number;
} {
  return { ref: { author, channel, epoch, seq, index }, size: bytes.length };
}
