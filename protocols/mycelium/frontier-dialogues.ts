import { commonCoverage, type Coverage, OWN_COVERAGE } from '../digest/coverage.ts';
import { bytesEqual } from '../wire/bytes.ts';
import type { CpuTurn } from '../wire/cpu-turn.ts';
import {
  decodeOpening,
  decodeOpeningAnswer,
  decodePlaces,
  differingPlaces,
  encodeOpening,
  encodeOpeningAnswer,
  encodePlaces,
} from './frontier-digest.ts';
import type { FrontierGroup, FrontierPage } from './frontier-page.ts';
import { type FrontierStream, type ShownFrontier, wholeFrontier } from './frontier-stream.ts';
import type { FrontierView } from './frontier-view.ts';

/** The messages of the two sides in one version of the protocol. */
export interface FrontierDialogue {
  ask(stream: FrontierStream): AsyncGenerator<FrontierPage, void>;
  answer(stream: FrontierStream): Promise<ShownFrontier>;
}

/** `frontier/1`: either side shows all that it has. */
export class WholePages implements FrontierDialogue {
  readonly #frontierFor: (peer: string, covers: Coverage) => readonly FrontierGroup[];

  constructor(frontierFor: (peer: string, covers: Coverage) => readonly FrontierGroup[]) {
    this.#frontierFor = frontierFor;
  }

  async *ask(stream: FrontierStream): AsyncGenerator<FrontierPage, void> {
    await stream.sendPages(this.#frontierFor(stream.peer, OWN_COVERAGE));
    yield* stream.pages();
  }

  async answer(stream: FrontierStream): Promise<ShownFrontier> {
    const shown = await wholeFrontier(stream.pages());
    await stream.sendPages(this.#frontierFor(stream.peer, commonCoverage(OWN_COVERAGE, shown.knows)));
    // Whoever asks does not know yet what the other knows: its digests are over all that it knows itself.
    return { ...shown, covers: shown.knows };
  }
}

/**
 * `frontier/2`: digests first, then the pages of the places that differ. Each side compares what it would show the other: a private
 * channel is included for a participant only. Groups that are equal are not sent, and each side uses its own for those of the other.
 */
export class DigestsFirst implements FrontierDialogue {
  readonly #viewFor: (peer: string, covers: Coverage, turn: Pick<CpuTurn, 'pause'>) => Promise<FrontierView>;

  constructor(
    viewFor: (peer: string, covers: Coverage, turn: Pick<CpuTurn, 'pause'>) => Promise<FrontierView>,
  ) {
    this.#viewFor = viewFor;
  }

  async *ask(stream: FrontierStream): AsyncGenerator<FrontierPage, void> {
    let view = await this.#viewFor(stream.peer, OWN_COVERAGE, stream.turn);
    await stream.write(encodeOpening({ knows: OWN_COVERAGE, root: view.root }));
    const { knows, digests } = decodeOpeningAnswer(await stream.read());
    if (digests === undefined) {
      await stream.close();
      yield { knows, ...view.besides([]) };
      return;
    }
    const covers = commonCoverage(OWN_COVERAGE, knows);
    if (covers.size < OWN_COVERAGE.size) view = await this.#viewFor(stream.peer, covers, stream.turn);
    const places = differingPlaces(view.digests(), digests);
    await stream.write(encodePlaces(places));
    await stream.sendPages(view.at(places));
    yield { knows, ...view.besides(places) };
    yield* stream.pages();
  }

  async answer(stream: FrontierStream): Promise<ShownFrontier> {
    const { knows, root } = decodeOpening(await stream.read());
    const covers = commonCoverage(OWN_COVERAGE, knows);
    const view = await this.#viewFor(stream.peer, covers, stream.turn);
    if (bytesEqual(view.root, root)) {
      await stream.write(encodeOpeningAnswer({ knows: OWN_COVERAGE, digests: undefined }));
      await stream.close();
      return { knows, covers, ...view.besides([]) };
    }
    await stream.write(encodeOpeningAnswer({ knows: OWN_COVERAGE, digests: view.digests() }));
    const places = decodePlaces(await stream.read());
    const { groups } = await wholeFrontier(stream.pages());
    await stream.sendPages(view.at(places));
    const equal = view.besides(places);
    return { knows, covers, same: equal.same, groups: [...equal.groups, ...groups] };
  }
}
