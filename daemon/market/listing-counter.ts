import type { ListingCounts } from '../../api/ports/trends.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import { isoDay } from '../../protocols/wire/iso-time.ts';

/** Names counted individually, of each kind; all others count as `(others)`. */
const NAMES = 20_000;
const OTHERS = '(others)';

/** Counts live listings by place, region and day; memory is bounded by names, not by records. */
export class ListingCounter {
  readonly #byLocation = new Map<string, number>();
  readonly #byDay = new Map<string, number>();
  readonly #byRegion = new Map<string, number>();
  #listings = 0;

  add({ view, created }: Pick<RecordState, 'view' | 'created'>): void {
    this.#listings++;
    const text = (field: string): string => String(view[field] ?? '').trim();
    tally(this.#byLocation, text('location') || text('market') || text('region') || 'unknown');
    tally(this.#byRegion, text('region').toLowerCase());
    tally(this.#byDay, isoDay(created[0]));
  }

  counts(): ListingCounts {
    return {
      listings: this.#listings,
      byLocation: this.#byLocation,
      byDay: this.#byDay,
      byRegion: this.#byRegion,
    };
  }
}

function tally(counts: Map<string, number>, name: string): void {
  const known = counts.get(name);
  const under = known === undefined && counts.size >= NAMES ? OTHERS : name;
  counts.set(under, (counts.get(under) ?? 0) + 1);
}
