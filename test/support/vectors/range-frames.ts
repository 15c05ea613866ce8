import { encodeItem } from '../../../protocols/mycelium/range-item.ts';
import { concat, fromHex, hex } from '../../../protocols/wire/bytes.ts';
import { carriedItems } from './carriers.ts';

/** A zstd frame of one block with its content as it is: made here, so that no encoder's next version moves a vector. */
function zstd(content: Uint8Array, { descriptor = 0x60, head = sizeOf(content) } = {}): Uint8Array {
  const block = (content.length << 3) | 1;
  return concat([
    fromHex('28b52ffd'),
    Uint8Array.of(descriptor),
    head,
    Uint8Array.of(block & 0xff, (block >> 8) & 0xff, block >> 16),
    content,
  ]);
}

/** The size of the content as two bytes hold it. */
function sizeOf({ length }: Uint8Array): Uint8Array {
  return Uint8Array.of((length - 256) & 0xff, (length - 256) >> 8);
}

/** What zstd 1.5 makes of so many empty entries, `82 00 40` each, at level 3. */
const EMPTY = {
  1024: '28b52ffd60000b550000188200400100fad37743',
  1025: '28b52ffd60030b550000188200400100fdd37743',
  349_546:
    '28b52ffda03e0010005c0000188200400100faffe66e084c000008400100fcff3910024c000008000100fcff3910024c000008820100fcff3910024c000008400100fcff3910024c000008000100fcff3910024c000008820100fcff3910024c000008400100fcff3910023d000008000100928010',
  500_000:
    '28b52ffda060e316005c0000188200400100faffe66e084c000008400100fcff3910024c000008000100fcff3910024c000008820100fcff3910024c000008400100fcff3910024c000008000100fcff3910024c000008820100fcff3910024c000008400100fcff3910024c000008000100fcff3910024c000008820100fcff3910024c000008400100fcff3910024d0000080001005c631d0801',
} as const;

/** Frames of a range: `items` are those of one that is taken, everything else is refused with the code `range-malformed`. */
export function rangeFrameVectors(): unknown {
  const items = carriedItems().map(encodeItem);
  const content = concat(items);
  const whole = zstd(content);
  const packed = (bytes: Uint8Array): string => hex(concat([Uint8Array.of(1), bytes]));
  const raw = (bytes: Uint8Array): string => hex(concat([Uint8Array.of(0), bytes]));
  const skippable = fromHex('502a4d180100000000');
  const window = (byte: number): Uint8Array => zstd(content, { descriptor: 0, head: Uint8Array.of(byte) });
  return {
    taken: [
      { name: 'as it is', frame: raw(content), items: items.map(hex) },
      { name: 'in zstd', frame: packed(whole), items: items.map(hex) },
      { name: 'in zstd, with a window of 2 MiB', frame: packed(window(0x58)), items: items.map(hex) },
      { name: 'of 1,024 empty entries', frame: `01${EMPTY[1024]}`, count: 1024 },
    ],
    refused: [
      { name: 'no form', frame: '' },
      { name: 'an unknown form', frame: hex(concat([Uint8Array.of(2), content])) },
      { name: 'nothing, as it is', frame: raw(new Uint8Array(0)) },
      { name: 'nothing, in zstd', frame: '0128b52ffd2000010000' },
      { name: 'one item more than a frame holds', frame: `01${EMPTY[1025]}` },
      { name: 'as many empty entries as a frame inflates to', frame: `01${EMPTY[349_546]}` },
      { name: '500,000 empty entries in 155 bytes', frame: `01${EMPTY[500_000]}` },
      { name: 'an item cut off, as it is', frame: raw(content.subarray(0, -1)) },
      { name: 'an item cut off, in zstd', frame: packed(zstd(content.subarray(0, -1))) },
      { name: 'a byte behind the last item, as it is', frame: raw(concat([content, Uint8Array.of(0)])) },
      {
        name: 'a byte behind the last item, in zstd',
        frame: packed(zstd(concat([content, Uint8Array.of(0)]))),
      },
      { name: 'zstd cut off', frame: packed(whole.subarray(0, -1)) },
      { name: 'a byte behind the zstd frame', frame: packed(concat([whole, Uint8Array.of(0)])) },
      { name: 'a second zstd frame', frame: packed(concat([whole, whole])) },
      { name: 'a skippable frame behind it', frame: packed(concat([whole, skippable])) },
      { name: 'a skippable frame before it', frame: packed(concat([skippable, whole])) },
      { name: 'a window of 4 MiB', frame: packed(window(0x60)) },
      {
        name: 'a dictionary',
        frame: packed(zstd(content, { descriptor: 0x61, head: concat([Uint8Array.of(5), sizeOf(content)]) })),
      },
      {
        name: 'a dictionary of the id 0',
        frame: packed(zstd(content, { descriptor: 0x61, head: concat([Uint8Array.of(0), sizeOf(content)]) })),
      },
      {
        name: 'another size than it says',
        frame: packed(zstd(content, { head: sizeOf(content.subarray(1)) })),
      },
      {
        name: 'a wrong checksum',
        frame: packed(concat([zstd(content, { descriptor: 0x64 }), new Uint8Array(4)])),
      },
      { name: 'a reserved bit', frame: packed(zstd(content, { descriptor: 0x68 })) },
      { name: 'gzip', frame: '011f8b0800000000000003030000000000000000' },
    ],
  };
}
