import { z } from '@hono/zod-openapi';
import { seesOf } from '../access.ts';
import type { ApiContext } from '../context.ts';
import { page } from '../page.ts';
import { json, media, route, router } from '../route.ts';
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
    summary: 'Whether the process answers',
    responses: { 200: json(z.object({ status: z.literal('ok') }), 'It does') },
  },
  'ignored',
);
const ready = route('open', {
  operationId: 'getReadiness',
  method: 'get',
  path: '/ready',
  tags,
  summary:
    'Whether the node can write, and what its operator should look at: all of it with the operator’s key',
  responses: {
    200: json(
      z.object({ status: z.literal('ready'), degraded: z.array(z.string()), alarms: Alarms }),
      'It can; `degraded` names what works only in part',
    ),
    503: json(
      z.object({ status: z.literal('not-ready'), error: z.string(), code: z.string(), alarms: Alarms }),
      'It cannot; reads go on',
    ),
  },
});
const front = route('read', {
  operationId: 'getFrontPage',
  method: 'get',
  path: '/',
  tags,
  summary: 'The node’s one plain page',
  responses: { 200: media('A page without scripts', 'text/html') },
});

export function nodeRoutes(node: ApiContext, trends: TrendReports) {
  return router()
    .openapi(health, (c) => c.json({ status: 'ok' as const }, 200))
    .openapi(ready, (c) => {
      const trouble = node.trouble();
      const sees = seesOf(c.get('principal'));
      const alarms = [...node.alarms(sees)];
      if (trouble === undefined)
        return c.json({ status: 'ready' as const, degraded: [...node.degraded(sees)], alarms }, 200);
      const { message, code } = trouble;
      return c.json({ status: 'not-ready' as const, error: message, code, alarms }, 503);
    })
    .openapi(front, async (c) => {
      c.header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'");
      return c.html(await page(node, trends, seesOf(c.get('principal'))));
    });
}
