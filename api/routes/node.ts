import { z } from '@hono/zod-openapi';
import { visibilityOf } from '../access.ts';
import type { ApiContext } from '../context.ts';
import { json, media, route, router } from '../route.ts';
import { ErrorCodeJson } from '../problem.ts';
import { text, texts } from '../schemas.ts';
import { Alarms } from './alarms.ts';
import type { TrendReports } from '../trend-reports.ts';

const tags = ['Node'];

const health = route(
  'open',
  {
    operationId: 'getHealth',
    method: 'get',
    path: '/health',
    tags,
    summary: 'Check that the node is running',
    responses: {
      200: json(z.object({ status: z.literal('ok') }).openapi('Health'), 'It is running.'),
    },
  },
  'ignored',
);
const ready = route('open', {
  operationId: 'getReadiness',
  method: 'get',
  path: '/ready',
  tags,
  summary: 'Check that the node can accept writes, and list alarms',
  description: 'Some alarms and restrictions are shown to operators only.',
  responses: {
    200: json(
      z
        .object({
          status: z.literal('ready'),
          degraded: texts('What works only in part.'),
          alarms: Alarms,
        })
        .openapi('Ready'),
      'The node accepts writes.',
    ),
    503: json(
      z
        .object({
          status: z.literal('not-ready'),
          error: text('Why it cannot accept writes, and what to do.'),
          code: ErrorCodeJson,
          alarms: Alarms,
        })
        .openapi('NotReady'),
      'The node cannot accept writes; reads still work.',
    ),
  },
});
const statusPage = route('read', {
  operationId: 'getStatusPage',
  method: 'get',
  path: '/status-page',
  tags,
  summary: 'Show the status page of the node',
  description: 'What callers without a key may know of it; with the key of an operator, everything.',
  responses: { 200: media('An HTML page.', 'text/html') },
});

export function nodeRoutes(node: ApiContext, trends: TrendReports) {
  return router()
    .openapi(health, (c) => c.json({ status: 'ok' as const }, 200))
    .openapi(ready, (c) => {
      const trouble = node.trouble();
      const sees = visibilityOf(c.get('principal'));
      const alarms = [...node.alarms(sees)];
      if (trouble === undefined)
        return c.json({ status: 'ready' as const, degraded: [...node.degraded(sees)], alarms }, 200);
      const { message, code } = trouble;
      return c.json({ status: 'not-ready' as const, error: message, code, alarms }, 503);
    })
    .openapi(statusPage, async (c) => {
      const { showStatus } = await import('../pages/status.ts');
      return showStatus(c, node, trends);
    });
}
