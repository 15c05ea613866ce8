import { afterEach, expect, it } from 'vitest';
import { isSendersFault } from '../../../protocols/error-codes.ts';
import type { PeerId } from '../../../protocols/wire/identity.ts';
import { randomFrom, someIdentity } from '../../support/forge.ts';
import { type MyceliumPair, myceliumPair } from '../../support/mycelium-pair.ts';

const random = randomFrom(31);
const [ONE, OTHER] = [someIdentity(random).peerId, someIdentity(random).peerId] as [PeerId, PeerId];
const soon = (): AbortSignal => AbortSignal.timeout(5000);

let pair: MyceliumPair | undefined;
afterEach(() => pair?.stop());

it.each(['frontier/2', 'range/1', 'announce/1'])(
  'a peer that is stopped between opening %s and its first frame has done nothing wrong',
  async (protocol) => {
    pair = await myceliumPair([ONE, OTHER]);
    const [, other] = pair.nodes;
    const frames = await pair.open(`/agrinet/test/${protocol}`);
    await frames.close(soon());
    await expect(frames.read(soon())).rejects.toThrow();
    const told = protocol === 'announce/1' ? { private: true } : {};
    expect(other.events).toEqual([{ kind: 'pull-failed', peer: ONE, code: 'stream-truncated', ...told }]);
    expect(isSendersFault('stream-truncated')).toBe(false);
    expect(other.mycelium.frontiersShown(ONE)).toBe(0);
  },
);
