import { z } from '@hono/zod-openapi';
import type { Principal } from '../access.ts';
import {
  acknowledgeListing,
  actorOf,
  type ContractsContext,
  endOf,
  STEPPING,
  validUntil,
} from '../contract-inputs.ts';
import { Contract, contractJson } from '../contract-json.ts';
import { idempotentId } from '../limits/idempotency.ts';
import type { StepRequest } from '../ports/contracts.ts';
import { keyOf } from '../records.ts';
import { json, jsonInput, route, router } from '../route.ts';
import { idParam, JsonValue } from '../schemas.ts';

const tags = ['Contracts'];
const answer = json(Contract, 'The updated contract.');
const party = z
  .string()
  .max(192)
  .optional()
  .openapi({ description: 'User to act as; by default the user of the key.' });
const hash = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .openapi({ description: 'Hash of the proposal; required if several are open.' });
const note = z
  .string()
  .max(8192)
  .optional()
  .openapi({ description: 'Accepted for compatibility; not stored.' });

/** Steps that the old documents know. */
const OLD_STEPS: ReadonlySet<string> = new Set(['/{id}/accept', '/{id}/pings']);

function step<P extends string, S extends z.ZodRawShape>(
  path: P,
  operationId: string,
  summary: string,
  shape: S,
) {
  return route(
    'write',
    {
      operationId,
      method: 'post',
      path,
      tags,
      summary,
      request: { params: idParam, body: jsonInput(z.object(shape)) },
      responses: { 200: answer },
      codes: STEPPING,
    },
    OLD_STEPS.has(path) ? 'ignored' : 'refused',
  );
}
const propose = step(
  '/{id}/propose',
  'proposeContract',
  'Propose the current terms; a supplier’s proposal reserves the quantity until `validUntil`',
  {
    proposedBy: party,
    validUntil,
    acknowledgeListing,
    message: note,
  },
);
const accept = step('/{id}/accept', 'acceptContract', 'Accept a proposal of the other party as it is', {
  acceptedBy: party,
  proposal: hash.optional(),
  acknowledgeListing,
  message: note,
});
const settle = step(
  '/{id}/settle',
  'settleContract',
  'Confirm completion; the contract settles once both parties have confirmed',
  { settledBy: party, message: note },
);
const cancel = step(
  '/{id}/cancel',
  'cancelContract',
  'Cancel; an agreed contract ends once both parties have cancelled',
  { cancelledBy: party, message: note },
);
const resolve = step(
  '/{id}/resolve',
  'resolveContract',
  'Resolve a dispute; it ends once both parties declare the same outcome',
  {
    outcome: z.enum(['accepted', 'settled', 'cancelled']),
    proposal: hash.optional(),
    resolvedBy: party,
    message: note,
  },
);
const ping = step('/{id}/pings', 'createContractPing', 'Report delivery progress', {
  from: party,
  status: z.string().max(64).optional().openapi({ description: 'Status, such as `loaded`.' }),
  percentComplete: z.number().min(0).max(100).optional().openapi({ description: 'Progress in percent.' }),
  notes: z.string().max(8192).optional().openapi({ description: 'Notes.' }),
  attachments: z.array(JsonValue).max(64).optional(),
});

/** A party's steps: each is signed by its node; pings report progress. */
export function contractStepRoutes({ self, contracts }: Omit<ContractsContext, 'leftOut'>) {
  const keyIn = (id: string) => keyOf(id, self, 'contracts');
  async function stepped(id: string, principal: Principal, request: StepRequest) {
    return contractJson(await contracts.step(keyIn(id), request, actorOf(principal)));
  }

  return router()
    .openapi(propose, async (c) => {
      const { proposedBy: as, acknowledgeListing: acknowledged, ...body } = c.req.valid('json');
      const request: StepRequest = {
        kind: 'propose',
        as,
        validUntil: endOf(body.validUntil),
        acknowledgeListing: acknowledged,
      };
      return c.json(await stepped(c.req.valid('param').id, c.get('principal'), request), 200);
    })
    .openapi(accept, async (c) => {
      const { acceptedBy: as, proposal, acknowledgeListing: acknowledged } = c.req.valid('json');
      const request: StepRequest = { kind: 'accept', as, proposal, acknowledgeListing: acknowledged };
      return c.json(await stepped(c.req.valid('param').id, c.get('principal'), request), 200);
    })
    .openapi(settle, async (c) => {
      const request: StepRequest = { kind: 'settle', as: c.req.valid('json').settledBy };
      return c.json(await stepped(c.req.valid('param').id, c.get('principal'), request), 200);
    })
    .openapi(cancel, async (c) => {
      const request: StepRequest = { kind: 'cancel', as: c.req.valid('json').cancelledBy };
      return c.json(await stepped(c.req.valid('param').id, c.get('principal'), request), 200);
    })
    .openapi(resolve, async (c) => {
      const { outcome, proposal, resolvedBy: as } = c.req.valid('json');
      const request: StepRequest = { kind: 'resolve', as, outcome, proposal };
      return c.json(await stepped(c.req.valid('param').id, c.get('principal'), request), 200);
    })
    .openapi(ping, async (c) => {
      const { from: as, ...news } = c.req.valid('json');
      const key = keyIn(c.req.valid('param').id);
      const view = await contracts.ping(key, { ...news, as }, actorOf(c.get('principal')), idempotentId(c));
      return c.json(contractJson(view), 200);
    });
}
