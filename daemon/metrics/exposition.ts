import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Sees } from '../../api/ports/registration.ts';
import { METRICS, type MetricDefinition, type MetricKey } from './metrics-table.ts';

const PUBLIC = Object.values<MetricDefinition>(METRICS).flatMap(({ name, audience }) =>
  audience === 'public' ? [name] : [],
);

type KeyOf<T extends MetricDefinition['type']> = {
  [K in MetricKey]: (typeof METRICS)[K]['type'] extends T ? K : never;
}[MetricKey];
type Labels = Readonly<Record<string, string>>;
/** A value with its labels. */
export type Figure = readonly [labels: Labels, value: number];

/** The library's registry over the table of metrics; one for each node. */
export interface Exposition {
  /** Shows these series of a metric, and no others. Counters are given as they stand, not as what was added. */
  show(key: KeyOf<'counter' | 'gauge'>, figures: Iterable<Figure> | number): void;
  histogram(key: KeyOf<'histogram'>): Histogram;
  /** What this audience may see: all of it, or the public metrics of the table alone. */
  text(sees: Sees): Promise<string>;
  readonly contentType: string;
}

export function createExposition(): Exposition {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const shown = new Map<string, Counter | Gauge>();
  const histograms = new Map<string, Histogram>();
  for (const [key, { name, type, help, labels = [], buckets = [] }] of Object.entries<MetricDefinition>(
    METRICS,
  )) {
    const common = { name, help: help.replaceAll('`', ''), labelNames: [...labels], registers: [registry] };
    if (type === 'histogram') histograms.set(key, new Histogram({ ...common, buckets: [...buckets] }));
    else shown.set(key, type === 'counter' ? new Counter(common) : new Gauge(common));
  }
  return {
    show(key, figures) {
      const metric = shown.get(key);
      metric?.reset();
      if (typeof figures === 'number') metric?.inc(figures);
      else for (const [labels, value] of figures) metric?.inc(labels, value);
    },
    histogram(key) {
      const found = histograms.get(key);
      if (found === undefined) throw new TypeError(`no histogram ${key}`);
      return found;
    },
    async text(sees) {
      if (sees === 'whole') return registry.metrics();
      const texts = await Promise.all(PUBLIC.map((name) => registry.getSingleMetricAsString(name)));
      return `${texts.join('\n\n')}\n`;
    },
    contentType: registry.contentType,
  };
}
