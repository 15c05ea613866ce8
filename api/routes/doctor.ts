import { z } from '@hono/zod-openapi';
import type { DoctorPort } from '../ports/doctor.ts';
import { PEER_CODES } from '../problem.ts';
import { json, jsonInput, route, router } from '../route.ts';
import { count, flag, text, texts, timestamp } from '../schemas.ts';
import { NotCompared } from './node-rows.ts';

const tags = ['Operator'];
const Finding = z
  .object({
    id: text('ID of the finding; see daemon/README.md.'),
    check: text('Check that found it.'),
    severity: z.enum(['error', 'warning', 'info']),
    subject: text('What it is about.').optional(),
    message: text('What is wrong.'),
    remedy: text('Command or setting that fixes it.'),
  })
  .openapi('Finding');
const Diagnosis = z
  .object({
    at: timestamp('When the checks ran.'),
    healthy: flag('Whether there are neither errors nor warnings.'),
    findings: z.array(Finding).openapi({ description: 'Most severe first.' }),
    checked: z.array(z.object({ check: text('Name of the check.'), what: text('What it covers.') })),
    unchecked: z
      .array(z.object({ check: text('Name of the check.'), code: text('Error code.') }))
      .openapi({ description: 'Checks that could not run.' }),
  })
  .openapi('Diagnosis');

const examine = route('operator', {
  operationId: 'getDiagnosis',
  method: 'get',
  path: '/',
  tags,
  summary: 'Diagnose this node: problems and how to fix them, most severe first',
  responses: { 200: json(Diagnosis, 'The diagnosis.') },
});

const CollectionDiff = z
  .object({
    collection: text('Name of the collection.'),
    onlyHere: texts('Local IDs of records that only this node has.'),
    onlyThere: texts('Local IDs of records that only the peer has.'),
    different: texts('Local IDs of records that differ.'),
    more: flag('Whether there are more differences than listed.'),
  })
  .openapi('CollectionDiff');
const OwnerDiff = z
  .object({
    owner: text('Peer ID of the owner.'),
    frontier: z.enum(['equal', 'here', 'there', 'both']).openapi({
      description: 'Which side has entries that the other is missing.',
    }),
    verdict: z.enum(['same', 'lag', 'damage', 'one-sided', 'forgotten', 'undecided']).openapi({
      description:
        '`lag`: entries are missing on one side and will be replicated. `damage`: the same entries, but different records. `one-sided`: only one of the nodes replicates this owner. `forgotten`: this node has forgotten entries of the owner. `undecided`: entries arrived during the comparison, or a limit ended it.',
    }),
    collections: z.array(CollectionDiff),
  })
  .openapi('OwnerDiff');
const Diff = z
  .object({
    peer: text('Peer ID.'),
    same: flag('Whether both nodes have the same data.'),
    damaged: flag('Whether any difference is damage rather than lag.'),
    notCompared: z.array(NotCompared),
    owners: z.array(OwnerDiff),
    bySums: count('Number of owners with equal digests, whose records were not compared one by one.'),
    requests: count('Number of requests sent to the peer.'),
    bytes: count('Number of bytes received.'),
  })
  .openapi('PeerDiff');
const diff = route('operator', {
  operationId: 'diffPeer',
  method: 'post',
  path: '/diff',
  tags,
  summary: 'Compare the records of this node with those of a peer, and tell lag from damage',
  request: {
    body: jsonInput(
      z.object({
        peer: z.string().min(1).max(2048).openapi({ description: 'Peer ID or URL of a registered node.' }),
        deep: z.boolean().default(false).openapi({
          description: 'Compare every record, even if the digests are equal.',
        }),
      }),
    ),
  },
  responses: { 200: json(Diff, 'The differences, by owner.') },
  codes: [
    ...PEER_CODES,
    'digest-too-large',
    'frontier-malformed',
    'node-unknown',
    'prefix-malformed',
    'source-unknown',
    'stream-truncated',
  ],
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
