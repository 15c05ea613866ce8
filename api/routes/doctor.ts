import { z } from '@hono/zod-openapi';
import type { DoctorPort } from '../ports/doctor.ts';
import { json, route, router } from '../route.ts';

const tags = ['Operator'];
const Finding = z
  .object({
    check: z.string(),
    severity: z.enum(['error', 'warning', 'info']),
    subject: z.string().optional(),
    message: z.string(),
    mend: z.string().openapi({ description: 'The command, or the setting, that mends it' }),
  })
  .openapi('Finding');

const examine = route('operator', {
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

/** The doctor, for the operator. */
export function doctorRoutes({ doctor }: { readonly doctor: DoctorPort }) {
  return router().openapi(examine, async (c) => {
    const { findings, checked, unchecked, ...report } = await doctor.examine();
    return c.json(
      { ...report, findings: [...findings], checked: [...checked], unchecked: [...unchecked] },
      200,
    );
  });
}
