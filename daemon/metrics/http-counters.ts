import type { Histogram } from 'prom-client';
import { REFUSAL_CODES } from '../../api/errors.ts';
import type { MetricsPort } from '../../api/ports/metrics.ts';
import type { Exposition, Figure } from './exposition.ts';
import { createTally } from './tally.ts';

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

interface RouteCounts {
  /** `GET 2xx` -> requests: at most methods times classes. */
  readonly requests: Map<string, number>;
  readonly seconds: Histogram.Internal<string>;
}

/** What the API counts, in plain integers; routes are as many as were declared, because only patterns come here. */
export interface HttpCounters {
  readonly port: Pick<MetricsPort, 'answered' | 'refused' | 'streams'>;
  /** Shows it. */
  refresh(): void;
}

export function createHttpCounters(exposition: Exposition): HttpCounters {
  const seconds = exposition.histogram('requestSeconds');
  const routes = new Map<string, RouteCounts>();
  const refusals = createTally({ known: REFUSAL_CODES });
  const streams = { open: 0, opened: 0, slow: 0 };

  function countsOf(route: string): RouteCounts {
    const known = routes.get(route);
    if (known !== undefined) return known;
    const fresh = { requests: new Map<string, number>(), seconds: seconds.labels(route) };
    routes.set(route, fresh);
    return fresh;
  }

  return {
    port: {
      answered(route, method, status, took) {
        const counts = countsOf(route);
        const place = `${METHODS.has(method) ? method : 'other'} ${Math.floor(status / 100)}xx`;
        counts.requests.set(place, (counts.requests.get(place) ?? 0) + 1);
        counts.seconds.observe(took);
      },
      refused: (code) => refusals.add(code),
      streams: {
        opened() {
          streams.open++;
          streams.opened++;
        },
        ended(why) {
          streams.open--;
          if (why === 'slow') streams.slow++;
        },
      },
    },
    refresh() {
      exposition.show('requests', requestFigures(routes));
      exposition.show(
        'refusals',
        Array.from(refusals.entries(), ([code, count]) => [{ code }, count]),
      );
      exposition.show('streams', streams.open);
      exposition.show('streamsOpened', streams.opened);
      exposition.show('streamsDropped', streams.slow);
    },
  };
}

function* requestFigures(routes: ReadonlyMap<string, RouteCounts>): Generator<Figure> {
  for (const [route, { requests }] of routes)
    for (const [place, count] of requests) {
      const [method = '', status = ''] = place.split(' ');
      yield [{ route, method, status }, count];
    }
}
