import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OWN_COVERAGE } from '../../../protocols/digest/coverage.ts';
import {
  decodeOpeningAnswer,
  encodeOpening,
  encodePlaces,
  FRONTIER_PLACES,
} from '../../../protocols/mycelium/frontier-digest.ts';
import { CATCH_UP_LIMITS } from '../../../protocols/mycelium/catch-up.ts';
import { FRONTIER_LIMITS } from '../../../protocols/mycelium/frontier-exchange.ts';
import { encodePage, type FrontierGroup, frontierPages } from '../../../protocols/mycelium/frontier-page.ts';
import type { PeerId } from '../../../protocols/wire/identity.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { randomFrom, someIdentity } from '../../support/forge.ts';
import { loopLine, STRETCH_MS, watchLoop } from '../../support/loop-watch.ts';
import { heldFeed, type MyceliumPair, myceliumPair, type PairedNode } from '../../support/mycelium-pair.ts';
import { waitFor } from '../../support/wait.ts';

/** What a registered peer may show that no honest one does, as much of it as fits an exchange. */
const random = randomFrom(41);
const [LIAR, VICTIM, AUTHOR] = [someIdentity(random), someIdentity(random), someIdentity(random)].map(
  ({ peerId }) => peerId,
) as [PeerId, PeerId, PeerId];
/** Of a feed that was begun anew so often: what looking at a group of it costs grows with that. */
const EPOCHS = 300;
const soon = (): AbortSignal => AbortSignal.timeout(10_000);

let pair: MyceliumPair;
let victim: PairedNode;
beforeEach(async () => {
  pair = await myceliumPair([LIAR, VICTIM]);
  [, victim] = pair.nodes;
  for (const author of [VICTIM, AUTHOR])
    for (let epoch = 1; epoch <= EPOCHS; epoch++) victim.feeds.keep(heldFeed(author, 3, 'public', epoch));
});
afterEach(() => pair.stop());

/** As many pages as fit an exchange, filled with groups. */
function fullPages(next: (i: number) => FrontierGroup): Uint8Array[] {
  const pages: Uint8Array[] = [];
  let groups: FrontierGroup[] = [];
  for (let i = 0; pages.length < FRONTIER_LIMITS.pages; i++) {
    groups.push(next(i));
    if (groups.length < 500) continue;
    pages.push(...frontierPages(groups).map((page) => encodePage(page)));
    groups = [];
  }
  return pages.slice(0, FRONTIER_LIMITS.pages);
}

/** Shows the victim these pages; how it ended. */
async function show(version: 1 | 2, pages: readonly Uint8Array[]): Promise<'taken' | 'refused'> {
  const frames = await pair.open(`/agrinet/test/frontier/${version}`);
  try {
    if (version === 2) {
      await frames.write(encodeOpening({ knows: OWN_COVERAGE, root: random.bytes(32) }), soon());
      const answer = await frames.read(soon());
      if (answer !== null) decodeOpeningAnswer(answer);
      await frames.write(encodePlaces(Array.from({ length: FRONTIER_PLACES }, (_, i) => i)), soon());
    }
    for (const page of pages) await frames.write(page, soon());
    await frames.close(soon());
    while ((await frames.read(soon())) !== null);
    return 'taken';
  } catch {
    return 'refused';
  }
}

const heldItem = (author: PeerId, epoch: number) => {
  const { epoch: name, seq, hash } = heldFeed(author, 3, 'public', epoch);
  return { epoch: name, seq, hash };
};

describe.each([1, 2] as const)('a frontier/%i', (version) => {
  it.each([
    ['the victim itself', VICTIM],
    ['somebody else', AUTHOR],
  ])(
    'that shows one epoch of %s again and again is refused, and costs whoever shows it its standing',
    async (_, author) => {
      const group: FrontierGroup = { author, channel: 'public', digest: '', items: [heldItem(author, 1)] };
      const pages = fullPages(() => group);
      const figures = await watchLoop(() => show(version, pages));
      console.info(loopLine('one epoch again and again', figures));
      expect(figures.result).toBe('refused');
      expect(victim.events).toContainEqual({ kind: 'pull-failed', peer: LIAR, code: 'frontier-malformed' });
      expect(victim.events).toContainEqual(expect.objectContaining({ kind: 'peer-distrusted', peer: LIAR }));
      expect(victim.mycelium.frontiersShown(LIAR)).toBe(0);
      expect(figures.cpuMs).toBeLessThan(STRETCH_MS);
    },
  );

  it('that shows nothing of one feed again and again costs one look at it', async () => {
    const group: FrontierGroup = { author: VICTIM, channel: 'public', digest: '', items: [] };
    const pages = fullPages(() => group);
    const figures = await watchLoop(async () => {
      const ended = await show(version, pages);
      await waitFor('it to be looked at', () => victim.events.some(({ kind }) => kind === 'peer-synced'));
      return ended;
    });
    console.info(loopLine('nothing, again and again', figures));
    expect(figures.cpuMs).toBeLessThan(STRETCH_MS);
  });

  it('that shows tens of thousands of feeds as the victim’s own is gone through in turns', async () => {
    const pages = fullPages(() => ({
      author: VICTIM,
      channel: recordKey('contracts', VICTIM, random.hex(8)),
      digest: '',
      items: [{ epoch: random.hex(8), seq: 1, hash: '11'.repeat(32) }],
    }));
    const figures = await watchLoop(async () => {
      const ended = await show(version, pages);
      await waitFor('it to be looked at', () => victim.mycelium.frontiersShown(LIAR) > 0);
      // What follows from it: feeds are asked for, which the other has not.
      await waitFor('a pull', () => victim.events.some(({ kind }) => kind === 'pull-failed'));
      return ended;
    });
    console.info(loopLine('feeds of the victim', figures));
    expect(victim.events.filter(({ kind }) => kind === 'own-held')).toEqual([]);
    // What is kept of it is what may be asked for.
    const kept = victim.mycelium.frontiers().get(LIAR)?.length;
    expect(kept).toBeLessThanOrEqual(CATCH_UP_LIMITS.wantedPerPeer);
    expect(figures.cpuMs).toBeLessThan(STRETCH_MS);
  });

  it('of one feed in very many groups, an epoch each, is one feed with them all', async () => {
    const groups: FrontierGroup[] = Array.from({ length: EPOCHS }, (_, i) => ({
      author: AUTHOR,
      channel: 'public',
      digest: '77'.repeat(32),
      items: [heldItem(AUTHOR, i + 1)],
    }));
    victim.digests.set(AUTHOR, '88'.repeat(32));
    expect(await show(version, [encodePage(groups)])).toBe('taken');
    await waitFor('it to be looked at', () => victim.mycelium.frontiersShown(LIAR) > 0);
    expect(
      victim.mycelium
        .frontiers()
        .get(LIAR)
        ?.filter(({ author }) => author === AUTHOR),
    ).toEqual([
      {
        author: AUTHOR,
        channel: 'public',
        digest: '77'.repeat(32),
        items: groups.flatMap(({ items }) => items),
      },
    ]);
    await waitFor('the difference', () => victim.events.some(({ kind }) => kind === 'digest-differs'));
    expect(victim.events.filter(({ kind }) => kind === 'digest-differs')).toEqual([
      { kind: 'digest-differs', peer: LIAR, author: AUTHOR },
    ]);
  });
});
