import { REFUSAL_CODES } from '../../api/errors.ts';
import type { MetricsPort } from '../../api/ports/metrics.ts';
import { boundedLabel } from './bounded-label.ts';
import type { Exposition } from './exposition.ts';

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** Counts of the API; there are as many routes as were declared, because only patterns are counted. */
export function createHttpCounters(
  exposition: Exposition,
): Pick<MetricsPort, 'answered' | 'refused' | 'streams'> {
  const requests = exposition.counter('requests');
  const seconds = exposition.histogram('requestSeconds');
  const refusals = exposition.counter('refusals');
  const [streams, opened, dropped] = [
    exposition.gauge('streams'),
    exposition.counter('streamsOpened'),
    exposition.counter('streamsDropped'),
  ];
  const methodOf = boundedLabel({ known: METHODS });
  const codeOf = boundedLabel({ known: REFUSAL_CODES });
  return {
    answered(route, method, status, took) {
      requests.inc({ route, method: methodOf(method), status: `${Math.floor(status / 100)}xx` });
      seconds.observe({ route }, took);
    },
    refused: (code) => refusals.inc({ code: codeOf(code) }),
    streams: {
      opened() {
        streams.inc();
        opened.inc();
      },
      ended(why) {
        streams.dec();
        if (why === 'slow') dropped.inc();
      },
    },
  };
}
