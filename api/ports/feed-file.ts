import type { RangeItem } from '../../protocols/mycelium/range-item.ts';
import type { TakenItems } from '../../protocols/mycelium/take-items.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';

/** The outcome for items of a file. */
export interface CarriedItems extends TakenItems {
  /** Authors that are not registered here, and how many entries of theirs were left. */
  strangers: Record<string, number>;
  /** The first item that no honest node could have written; nothing after it was processed. */
  rejected?: { readonly index: number; readonly code: string };
}

/** Signed entries that are carried in files. */
export interface FeedFilePort {
  /**
   * The feeds held here, of these authors or of all: public ones, and the private channels in which `to` takes part. `entries` is how many
   * entries that will be.
   */
  items(query: { readonly authors: readonly PeerId[]; readonly to: PeerId | undefined }): {
    readonly entries: number;
    items(): AsyncGenerator<RangeItem>;
  };
  /** Takes a piece of a file in, in order, as if a peer had sent it; private ones only when the file is for this node. */
  take(items: readonly RangeItem[], to: PeerId | undefined): Promise<CarriedItems>;
}
