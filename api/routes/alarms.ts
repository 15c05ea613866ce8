import { z } from '@hono/zod-openapi';
import type { ApiContext } from '../context.ts';
import { json, route, router } from '../route.ts';
import { count, text, timestamp } from '../schemas.ts';

const tags = ['Operator'];
export const Alarms = z.array(
  z
    .object({
      kind: text('Kind of alarm.'),
      at: timestamp('When it was raised.'),
      text: text('What happened, and what to do.'),
    })
    .openapi('Alarm'),
);

const list = route('operator', {
  operationId: 'listAlarms',
  method: 'get',
  path: '/',
  tags,
  summary: 'List active alarms, newest first',
  responses: { 200: json(z.object({ alarms: Alarms }).openapi('AlarmList'), 'Active alarms.') },
});
const clear = route('operator', {
  operationId: 'clearAlarms',
  method: 'post',
  path: '/clear',
  tags,
  summary: 'Acknowledge all alarms; an alarm returns while its cause persists',
  responses: {
    200: json(
      z.object({ cleared: count('Number of alarms acknowledged.') }).openapi('ClearedAlarms'),
      'How many alarms were acknowledged.',
    ),
  },
});

/** `/alarms`. */
export function alarmRoutes({ alarms, clearAlarms }: Pick<ApiContext, 'alarms' | 'clearAlarms'>) {
  return router()
    .openapi(list, (c) => c.json({ alarms: [...alarms('whole')] }, 200))
    .openapi(clear, (c) => c.json({ cleared: clearAlarms() }, 200));
}
