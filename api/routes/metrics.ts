import { visibilityOf } from '../access.ts';
import type { MetricsPort } from '../ports/metrics.ts';
import { media, route, router } from '../route.ts';

const metrics = route('read', {
  operationId: 'getMetrics',
  method: 'get',
  path: '/',
  tags: ['Node'],
  summary: 'Retrieve metrics in the Prometheus text format',
  description: 'Metrics that reveal private activity are shown to operators only.',
  responses: { 200: media('Prometheus text format 0.0.4.', 'text/plain') },
});

/** The figures for Prometheus. */
export function metricsRoutes({ metrics: port }: { readonly metrics: MetricsPort }) {
  return router().openapi(metrics, async (c) =>
    c.body(await port.text(visibilityOf(c.get('principal'))), 200, { 'content-type': port.contentType }),
  );
}
