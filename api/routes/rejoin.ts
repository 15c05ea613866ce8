import { z } from '@hono/zod-openapi';
import { REJOIN_CAUSES, type RejoinStatus } from '../../protocols/mycelium/rejoin.ts';
import type { RejoinPort } from '../ports/rejoin.ts';
import { json, route, router } from '../route.ts';
import { flag, text, timestamp } from '../schemas.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';

const tags = ['Operator'];
const Status = z
  .object({
    waiting: flag(
      'Whether the recovery fence is up: this node makes no new commitments until its peers have returned its lost entries.',
    ),
    cause: z.enum(REJOIN_CAUSES).optional().openapi({ description: 'Why entries were lost.' }),
    since: timestamp('When the loss was noticed.').optional(),
    until: timestamp(
      'When the fence lifts without further answers; absent if only answers or the operator can lift it.',
    ).optional(),
    nodes: z.array(
      z
        .object({ nodeId: text('Peer ID.'), answered: flag('Whether it has answered.') })
        .openapi('RecoveryPeer'),
    ),
  })
  .openapi('RecoveryFence');

const show = route('operator', {
  operationId: 'getRecoveryFence',
  method: 'get',
  path: '/',
  tags,
  summary: 'Retrieve the state of the recovery fence',
  description:
    'After data loss, this node first recovers its own entries from its peers. Until they have answered, it makes no commitments that depend on lost entries.',
  responses: { 200: json(Status, 'The recovery fence.') },
});
const force = route('operator', {
  operationId: 'liftRecoveryFence',
  method: 'post',
  path: '/force',
  tags,
  summary: 'Lift the recovery fence without waiting for the remaining peers',
  responses: { 200: json(Status, 'The recovery fence.') },
});

/** `/rejoin`. */
export function rejoinRoutes({ rejoin }: { readonly rejoin: RejoinPort }) {
  return router()
    .openapi(show, (c) => c.json(shown(rejoin.status()), 200))
    .openapi(force, (c) => {
      rejoin.force();
      return c.json(shown(rejoin.status()), 200);
    });
}

function shown({ waiting, recovery, until, peers }: RejoinStatus) {
  return {
    waiting,
    ...(recovery === undefined ? {} : { cause: recovery.cause, since: isoTime(recovery.since) }),
    ...(until === undefined ? {} : { until: isoTime(until) }),
    nodes: peers.map(({ peer, answered }) => ({ nodeId: peer, answered })),
  };
}
