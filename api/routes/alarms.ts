import { z } from '@hono/zod-openapi';
import type { ApiContext } from '../context.ts';
import { json, route, router } from '../route.ts';

const tags = ['Operator'];
export const Alarms = z.array(z.object({ kind: z.string(), at: z.string(), text: z.string() }));

const list = route('operator', {
  operationId: 'listAlarms',
  method: 'get',
  path: '/',
  tags,
  summary: 'What this node has raised and nobody has said is seen to, newest first',
  responses: { 200: json(z.object({ alarms: Alarms }), 'The alarms') },
});
const clear = route('operator', {
  operationId: 'clearAlarms',
  method: 'post',
  path: '/clear',
  tags,
  summary: 'Say that all alarms are seen to; one whose cause is still there comes again',
  responses: { 200: json(z.object({ cleared: z.number().int() }), 'How many there were') },
});

/** `/alarms`. */
export function alarmRoutes({ alarms, clearAlarms }: Pick<ApiContext, 'alarms' | 'clearAlarms'>) {
  return router()
    .openapi(list, (c) => c.json({ alarms: [...alarms('whole')] }, 200))
    .openapi(clear, (c) => c.json({ cleared: clearAlarms() }, 200));
}
