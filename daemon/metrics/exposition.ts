import Counter from 'prom-client/lib/counter.js';
import Gauge from 'prom-client/lib/gauge.js';
import Histogram from 'prom-client/lib/histogram.js';
import Registry from 'prom-client/lib/registry.js';
import type { Visibility } from '../../api/ports/registration.ts';
import { METRICS, type MetricDefinition, type MetricKey } from './metrics-table.ts';

const PUBLIC = Object.values<MetricDefinition>(METRICS).flatMap(({ name, audience }) =>
  audience === 'public' ? [name] : [],
);

type Type = MetricDefinition['type'];
type KeyOf<T extends Type> = {
  [K in MetricKey]: (typeof METRICS)[K]['type'] extends T ? K : never;
}[MetricKey];
type Labels = Readonly<Record<string, string>>;
/** A value with its labels. */
export type Figure = readonly [labels: Labels, value: number];

/** The library's registry over the table of metrics; one for each node. */
export interface Exposition {
  /** Counts events as they happen. */
  counter(key: KeyOf<'counter'>): Counter;
  gauge(key: KeyOf<'gauge'>): Gauge;
  histogram(key: KeyOf<'histogram'>): Histogram;
  /** Shows values that a part already has: exactly these series of a metric. Counters are given as totals, not as increments. */
  show(key: KeyOf<'counter' | 'gauge'>, figures: Iterable<Figure> | number): void;
  /** What this audience may see: everything, or only the public metrics of the table. */
  text(sees: Visibility): Promise<string>;
  readonly contentType: string;
}

/** How often the event loop is sampled once an operator scrapes; the reported delay includes this interval. Each sample wakes the process. */
const LOOP_LOOK_MS = 100;

/** Enables the library's process metrics, from the first scrape that may see them. */
async function showProcess(registry: Registry): Promise<void> {
  const { collectDefaultMetrics } = await import('prom-client');
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LOOP_LOOK_MS });
}

export function createExposition(): Exposition {
  const registry = new Registry();
  let process: Promise<void> | undefined;
  const metrics = new Map<string, Counter | Gauge | Histogram>(
    Object.entries<MetricDefinition>(METRICS).map(([key, definition]) => [key, made(definition, registry)]),
  );
  function found<T>(key: MetricKey, type: new (...args: never[]) => T): T {
    const metric = metrics.get(key);
    if (metric instanceof type) return metric;
    throw new TypeError(`${key} is no ${type.name}`);
  }
  return {
    counter: (key) => found(key, Counter),
    gauge: (key) => found(key, Gauge),
    histogram: (key) => found(key, Histogram),
    show(key, figures) {
      const metric = METRICS[key].type === 'counter' ? found(key, Counter) : found(key, Gauge);
      metric.reset();
      if (typeof figures === 'number') metric.inc(figures);
      else for (const [labels, value] of figures) metric.inc(labels, value);
    },
    async text(sees) {
      if (sees === 'whole') {
        await (process ??= showProcess(registry));
        return registry.metrics();
      }
      const texts = await Promise.all(PUBLIC.map((name) => registry.getSingleMetricAsString(name)));
      return `${texts.join('\n\n')}\n`;
    },
    contentType: registry.contentType,
  };
}

function made(
  { name, type, help, labels = [], buckets = [] }: MetricDefinition,
  registry: Registry,
): Counter | Gauge | Histogram {
  const common = { name, help: help.replaceAll('`', ''), labelNames: [...labels], registers: [registry] };
  switch (type) {
    case 'counter':
      return new Counter(common);
    case 'gauge':
      return new Gauge(common);
    case 'histogram':
      return new Histogram({ ...common, buckets: [...buckets] });
  }
}

/** Values by name as series with that name as their label. */
export function byLabel<L extends string>(label: L, values: Iterable<readonly [string, number]>): Figure[] {
  return Array.from(values, ([name, value]) => [{ [label]: name }, value]);
}
