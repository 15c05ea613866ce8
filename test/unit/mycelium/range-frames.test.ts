import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { decodeRangeFrame } from '../../../protocols/mycelium/range-frame.ts';
import { encodeItem } from '../../../protocols/mycelium/range-item.ts';
import { fromHex, hex } from '../../../protocols/wire/bytes.ts';
import { inlineOffload } from '../../support/inline-offload.ts';
import { inlineReader } from '../../support/inline-reader.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

interface RangeFrames {
  readonly taken: readonly { name: string; frame: string; items?: string[]; count?: number }[];
  readonly refused: readonly { name: string; frame: string }[];
}
const { rangeFrames } = JSON.parse(
  readFileSync(new URL('../../../protocols/vectors.json', import.meta.url), 'utf8'),
) as { rangeFrames: RangeFrames };

describe.each([
  ['on other threads', systemEnv.offload],
  ['at once', inlineOffload],
])('vectors of range frames, inflated %s', (_, offload) => {
  test.each(rangeFrames.taken)('taken: $name', async ({ frame, items, count }) => {
    const found = await decodeRangeFrame(fromHex(frame), offload);
    expect(found).toHaveLength(count ?? items?.length ?? NaN);
    if (items !== undefined) expect(found.map(encodeItem).map(hex)).toEqual(items);
  });
  test.each(rangeFrames.refused)('refused: $name', async ({ frame }) => {
    await expect(decodeRangeFrame(fromHex(frame), offload)).rejects.toMatchObject({
      code: 'range-malformed',
    });
  });
});

describe('vectors of range frames, read by a worker', () => {
  const asked = { author: nodeOf(1).peerId, channel: 'public' } as const;
  const read = async (frame: string) =>
    (await Array.fromAsync(inlineReader().read(fromHex(frame), asked))).flat();
  test.each(rangeFrames.taken)('taken: $name', async ({ frame, items, count }) => {
    const found = await read(frame);
    expect(found).toHaveLength(count ?? items?.length ?? NaN);
    if (items !== undefined) expect(found.map(encodeItem).map(hex)).toEqual(items);
  });
  test.each(rangeFrames.refused)('refused: $name', async ({ frame }) => {
    await expect(read(frame)).rejects.toMatchObject({ code: 'range-malformed' });
  });
});
