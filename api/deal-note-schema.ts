import { z } from '@hono/zod-openapi';
import { ListedTerms } from './market-schemas.ts';
import { count, ScalarOrNull, text, texts, timestamp } from './schemas.ts';

const hash = (what: string) => text(`SHA-256 of ${what}, hex.`);
const signature = text('Ed25519 signature of the party’s node, base64url.');
const side = z.enum(['buyer', 'supplier']);
const agreedBy = z.object({ step: count('Number of the step.'), signature });

const NoteStep = z
  .object({
    step: count('Number of the step, from 1.'),
    at: timestamp('When it was signed.'),
    kind: z.enum(['propose', 'accept', 'expire', 'settle', 'cancel', 'resolve']),
    by: side,
    standing: z
      .enum(['applied', 'late'])
      .openapi({ description: '`late`: valid, but superseded by a concurrent step.' }),
    hash: hash('the signed statement'),
    proposal: hash('the proposal that it accepts, expires or resolves to').optional(),
    outcome: z.enum(['accepted', 'settled', 'cancelled']).optional(),
    validUntil: timestamp('When a proposal expires.').optional(),
    signature,
  })
  .openapi('DealNoteStep');

/** The evidence of a deal. */
const NoteEvidence = z
  .object({
    creation: z
      .object({
        owner: text('Peer ID of the node that began the contract.'),
        writers: texts('Peer IDs of the nodes that write to it.'),
        participants: texts('Peer IDs of the nodes that hold it.'),
        nonce: text('16 bytes, hex; they commit to the parties and the listing.').optional(),
      })
      .openapi({ description: 'Its hash is the contract’s ID.' }),
    statements: texts('Signed statement of each step, base64url.'),
    word: text('Hashes of all steps, signed by the node that issued the note, base64url.'),
  })
  .openapi('DealNoteEvidence');

/** A note as its file holds it. */
export const DealNoteJson = z
  .object({
    format: z.literal('agrinet-deal-note'),
    version: z.literal(1),
    contractId: text('ID of the contract.'),
    network: text('Network that the nodes belong to.'),
    state: z.enum(['draft', 'proposed', 'accepted', 'settled', 'cancelled', 'disputed']),
    parties: z.object({ buyer: text('Buyer, `user@peer-id`.'), supplier: text('Supplier, `user@peer-id`.') }),
    terms: z.record(z.string(), ScalarOrNull).openapi({ description: 'What was agreed, by field.' }),
    clauses: z
      .array(z.union([z.string(), z.object({ name: text('Name of the clause.'), text: ScalarOrNull })]))
      .openapi({ description: 'Clauses, in their order.' }),
    listing: ListedTerms.optional(),
    signatures: z
      .object({ buyer: agreedBy.optional(), supplier: agreedBy.optional() })
      .openapi({ description: 'Under which step each party signed what was agreed.' }),
    steps: z.array(NoteStep),
    issued: z.object({
      by: text('Peer ID of the node that issued the note.'),
      at: timestamp('When it was issued.'),
    }),
    check: texts('How to check the note.'),
    evidence: NoteEvidence,
  })
  .openapi('DealNote');
