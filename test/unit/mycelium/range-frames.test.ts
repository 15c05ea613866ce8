import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { decodeRangeFrame } from '../../../protocols/mycelium/range-frame.ts';
import { encodeItem } from '../../../protocols/mycelium/range-item.ts';
import { fromHex, hex } from '../../../protocols/wire/bytes.ts';

interface RangeFrames {
  readonly taken: readonly { name: string; frame: string; items?: string[]; count?: number }[];
  readonly refused: readonly { name: string; frame: string }[];
}
const { rangeFrames } = JSON.parse(
  readFileSync(new URL('../../../protocols/vectors.json', import.meta.url), 'utf8'),
) as { rangeFrames: RangeFrames };

describe('vectors of range frames', () => {
  test.each(rangeFrames.taken)('taken: $name', async ({ frame, items, count }) => {
    const found = await decodeRangeFrame(fromHex(frame));
    expect(found).toHaveLength(count ?? items?.length ?? NaN);
    if (items !== undefined) expect(found.map(encodeItem).map(hex)).toEqual(items);
  });
  test.each(rangeFrames.refused)('refused: $name', async ({ frame }) => {
    await expect(decodeRangeFrame(fromHex(frame))).rejects.toMatchObject({ code: 'range-malformed' });
  });
});
