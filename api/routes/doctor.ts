import { z } from '@hono/zod-openapi';
import type { DoctorPort } from '../ports/doctor.ts';
import { json, jsonInput, route, router } from '../route.ts';
import { NotCompared } from './node-rows.ts';

const tags = ['Operator'];
const Finding = z
  .object({
    id: z.string().openapi({ description: 'Of the table of findings in daemon/README.md' }),
    check: z.string(),
    severity: z.enum(['error', 'warning', 'info']),
    subject: z.string().optional(),
    message: z.string(),
    mend: z.string().openapi({ description: 'The command, or the setting, that mends it' }),
  })
  .openapi('Finding');

const examine = route('operator', {
  operationId: 'getDiagnosis',
  method: 'get',
  path: '/',
  tags,
  summary: 'What is wrong with this node or will be, worst first, each with what mends it',
  responses: {
    200: json(
      z.object({
        at: z.string(),
        healthy: z.boolean(),
        findings: z.array(Finding),
        checked: z.array(z.object({ check: z.string(), what: z.string() })),
        unchecked: z.array(z.object({ check: z.string(), code: z.string() })),
      }),
      'Healthy means neither errors nor warnings',
    ),
  },
});

const names = z.array(z.string());
const diff = route('operator', {
  operationId: 'diffPeer',
  method: 'post',
  path: '/diff',
  tags,
  summary: 'Name the records that differ between this node and a peer, and say whether that is lag or damage',
  request: {
    body: jsonInput(
      z.object({
        peer: z.string().min(1).max(2048).openapi({ description: 'Peer id or URL of a registered node' }),
        deep: z.boolean().default(false).openapi({
          description: 'Compare record by record also where both show the same digest',
        }),
      }),
    ),
  },
  responses: {
    200: json(
      z.object({
        peer: z.string(),
        same: z.boolean(),
        damaged: z.boolean(),
        notCompared: z.array(NotCompared),
        owners: z.array(
          z.object({
            owner: z.string(),
            frontier: z.enum(['equal', 'here', 'there', 'both']),
            verdict: z.enum(['same', 'lag', 'damage', 'one-sided', 'forgotten', 'undecided']),
            collections: z.array(
              z.object({
                collection: z.string(),
                onlyHere: names,
                onlyThere: names,
                different: names,
                more: z.boolean(),
              }),
            ),
          }),
        ),
        bySums: z.number().int().openapi({
          description: 'Owners of whom the sums that both have kept are equal, and no record was looked at',
        }),
        requests: z.number().int(),
        bytes: z.number().int(),
      }),
      'Owner by owner; `frontier` says who has more of its entries',
    ),
  },
});

/** The doctor, for the operator. */
export function doctorRoutes({ doctor }: { readonly doctor: DoctorPort }) {
  return router()
    .openapi(examine, async (c) => {
      const { findings, checked, unchecked, ...report } = await doctor.examine();
      return c.json(
        { ...report, findings: [...findings], checked: [...checked], unchecked: [...unchecked] },
        200,
      );
    })
    .openapi(diff, async (c) => {
      const { peer, deep } = c.req.valid('json');
      const { owners, notCompared, ...report } = await doctor.diff(peer, deep);
      const shown = owners.map((each) => ({
        ...each,
        collections: each.collections.map(({ onlyHere, onlyThere, different, ...rest }) => ({
          ...rest,
          onlyHere: [...onlyHere],
          onlyThere: [...onlyThere],
          different: [...different],
        })),
      }));
      return c.json({ ...report, notCompared: [...notCompared], owners: shown }, 200);
    });
}
