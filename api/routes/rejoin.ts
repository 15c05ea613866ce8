import { z } from '@hono/zod-openapi';
import { REJOIN_CAUSES, type RejoinStanding } from '../../protocols/mycelium/rejoin.ts';
import type { RejoinPort } from '../ports/rejoin.ts';
import { json, route, router } from '../route.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';

const tags = ['Operator'];
const Standing = z
  .object({
    /** Steps that take stock, `settle` and the rotation of keys wait. */
    waiting: z.boolean(),
    cause: z.enum(REJOIN_CAUSES).optional(),
    since: z.string().optional(),
    /** When they go on without an answer; absent when only answers or the operator end the wait. */
    until: z.string().optional(),
    nodes: z.array(z.object({ nodeId: z.string(), answered: z.boolean() })),
  })
  .openapi('Rejoin');

const show = route('operator', {
  operationId: 'getRecoveryFence',
  method: 'get',
  path: '/',
  tags,
  summary: 'Whether promises wait for other nodes to give back what this one has lost, and who has answered',
  responses: { 200: json(Standing, 'How it stands') },
});
const force = route('operator', {
  operationId: 'liftRecoveryFence',
  method: 'post',
  path: '/force',
  tags,
  summary: 'Let promises go on without the nodes that have not answered',
  responses: { 200: json(Standing, 'How it stands now') },
});

/** `/rejoin`. */
export function rejoinRoutes({ rejoin }: { readonly rejoin: RejoinPort }) {
  return router()
    .openapi(show, (c) => c.json(shown(rejoin.standing()), 200))
    .openapi(force, (c) => {
      rejoin.force();
      return c.json(shown(rejoin.standing()), 200);
    });
}

function shown({ waiting, recovery, until, peers }: RejoinStanding) {
  return {
    waiting,
    ...(recovery === undefined ? {} : { cause: recovery.cause, since: isoTime(recovery.since) }),
    ...(until === undefined ? {} : { until: isoTime(until) }),
    nodes: peers.map(({ peer, answered }) => ({ nodeId: peer, answered })),
  };
}
