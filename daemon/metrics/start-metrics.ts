import type { MetricsPort } from '../../api/ports/metrics.ts';
import type { Node } from '../node.ts';
import { createExposition } from './exposition.ts';
import { createHeldFigures, type HeldParts } from './held-figures.ts';
import { createHttpCounters } from './http-counters.ts';
import { countReplication } from './replication-counters.ts';

/** Metrics of one node: what was counted on the way, and what the parts know when they are asked. */
export function startMetrics(node: Node, parts: HeldParts): MetricsPort {
  const exposition = createExposition();
  const http = createHttpCounters(exposition);
  const replication = countReplication(node, exposition);
  const held = createHeldFigures(node, parts, exposition);
  let scrape: Promise<string> | undefined;

  async function scraped(): Promise<string> {
    http.refresh();
    replication.refresh();
    await held.refresh();
    return exposition.text();
  }
  return {
    ...http.port,
    // Two scrapes at once are one: each begins by setting back what the other is about to show.
    text() {
      scrape ??= scraped().finally(() => (scrape = undefined));
      return scrape;
    },
    contentType: exposition.contentType,
  };
}
