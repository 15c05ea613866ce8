import type { Entry } from '../feed/entry.ts';
import type { PlacedOp } from '../open-dialog/record.ts';

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
