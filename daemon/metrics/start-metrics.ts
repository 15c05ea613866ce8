import type { Visibility } from '../../api/ports/registration.ts';
import type { MetricsPort } from '../../api/ports/metrics.ts';
import { createExposition } from './exposition.ts';
import { createHeldFigures, type HeldNode, type HeldParts } from './held-figures.ts';
import { createHttpCounters } from './http-counters.ts';
import { countReplication, type WatchedNode } from './replication-counters.ts';
import { SerialQueue } from '../../protocols/serial-queue.ts';

/** Metrics of one node: what was counted on the way, and what the parts know when they are asked. */
export function startMetrics(node: HeldNode & WatchedNode, parts: HeldParts): MetricsPort {
  const exposition = createExposition();
  const http = createHttpCounters(exposition);
  countReplication(node, exposition);
  const held = createHeldFigures(node, parts, exposition);
  const scrapes = new Map<Visibility, Promise<string>>();
  const queue = new SerialQueue();

  async function scraped(sees: Visibility): Promise<string> {
    await held.refresh(sees);
    return exposition.text(sees);
  }
  return {
    ...http,
    // Two scrapes at once are one, or for two audiences one after the other: each begins by setting back what the other is about to show.
    text(sees) {
      const running = scrapes.get(sees);
      if (running !== undefined) return running;
      const scrape = queue.run(() => scraped(sees)).finally(() => scrapes.delete(sees));
      scrapes.set(sees, scrape);
      return scrape;
    },
    contentType: exposition.contentType,
  };
}
