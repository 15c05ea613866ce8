import {
  decodeOpening,
  decodeOpeningAnswer,
  decodePlaces,
  differingPlaces,
  encodeOpening,
  encodeOpeningAnswer,
  encodePlaces,
  frontierRoot,
  groupHash,
  groupPlace,
  placeDigests,
} from '../../../protocols/mycelium/frontier-digest.ts';
import type { FrontierGroup } from '../../../protocols/mycelium/frontier-page.ts';
import { hex } from '../../../protocols/wire/bytes.ts';
import { type Cbor, encodeCbor } from '../../../protocols/wire/cbor.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { outcomeOf } from './outcome.ts';
import { nodeOf } from './signatures.ts';

const KNOWS = new Map([
  ['listings', 1],
  ['prices', 1],
]);

/** Two frontiers that differ in one feed: their digests, and the frames of an exchange. */
export function frontierDigestVectors(): unknown {
  const [author, other] = [nodeOf(1).peerId, nodeOf(2).peerId];
  const epoch = '0123456789abcdef';
  const item = { epoch, seq: 3, hash: '11'.repeat(32) };
  const groups: FrontierGroup[] = [
    { author, channel: 'public', digest: '44'.repeat(32), items: [item] },
    {
      author,
      channel: recordKey('conversations', author, 'c'),
      digest: '',
      items: [item, { epoch: 'fedcba9876543210', seq: 0, hash: '', fork: '33'.repeat(32) }],
    },
    { author: other, channel: 'public', digest: '', items: [item] },
  ];
  const placed = groups.map((group) => ({ place: groupPlace(group), hash: groupHash(group) }));
  const [digests, root] = [placeDigests(placed), frontierRoot(placed)];
  const fewer = placeDigests(placed.slice(0, 2));
  const places = differingPlaces(digests, fewer);
  return {
    groups: groups.map((group, i) => ({ ...group, ...placed[i] })),
    root: hex(root),
    emptyRoot: hex(frontierRoot([])),
    digests: hex(digests),
    withoutTheLast: { digests: hex(fewer), differing: places },
    knows: Object.fromEntries(KNOWS),
    opening: hex(encodeOpening({ knows: KNOWS, root })),
    same: hex(encodeOpeningAnswer({ knows: KNOWS, digests: undefined })),
    others: hex(encodeOpeningAnswer({ knows: KNOWS, digests: fewer })),
    places: hex(encodePlaces(places)),
    noPlaces: hex(encodePlaces([])),
    refused: {
      openings: refused(decodeOpening, [
        ['a root of 31 bytes', [[...KNOWS], root.subarray(1)]],
        ['no root', [[...KNOWS], null]],
        ['nothing of what is known', [root]],
        ['collections out of order', [[...KNOWS].reverse(), root]],
        ['one item more', [[...KNOWS], root, null]],
      ]),
      answers: refused(decodeOpeningAnswer, [
        ['digests of 255 places', [[...KNOWS], digests.subarray(16)]],
        ['false for null', [[...KNOWS], false]],
        ['a root', [[...KNOWS], root]],
        ['one item more', [[...KNOWS], null, null]],
      ]),
      places: refused(decodePlaces, [
        ['a place twice', Uint8Array.of(1, 1)],
        ['places that descend', Uint8Array.of(2, 1)],
        ['a list', [1, 2]],
        ['null', null],
      ]),
    },
  };
}

function refused(
  decode: (bytes: Uint8Array) => unknown,
  values: readonly (readonly [string, Cbor])[],
): unknown {
  return values.map(([name, value]) => {
    const bytes = encodeCbor(value);
    return { name, bytes: hex(bytes), code: outcomeOf(() => decode(bytes)) };
  });
}
