import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { contractJson } from '../../../api/contract-json.ts';
import { draftEdit } from '../../../protocols/ledger/drafts.ts';
import { shownContract } from '../../../protocols/market/contract-book/agreed.ts';
import type {
  Actor,
  HeldContract,
  ContractBook,
  StepRequest,
} from '../../../protocols/market/contract-book/types.ts';
import { evaluateStatements } from '../../../protocols/market/contract/machine.ts';
import type { Transition } from '../../../protocols/market/contract/statement.ts';
import type { Terms } from '../../../protocols/market/contract/terms.ts';
import { AgrinetError } from '../../../protocols/errors.ts';
import { collectionNamed } from '../../../protocols/ledger/drafts.ts';
import { emptyState } from '../../../protocols/open-dialog/fast-path.ts';
import type { Merger } from '../../../protocols/open-dialog/merger.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { recordKey, type RecordKey } from '../../../protocols/wire/ids.ts';
import { Reader } from '../../../storage/reader.ts';
import { type LedgerNode, openLedgerNode } from '../../support/ledger-node.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { CONTRACT, made } from '../../sim/contract-steps.ts';
import { threadedMerger } from '../../support/merger.ts';
import { openToldBook } from '../../support/told-book.ts';
import { DEAL, deal } from '../../support/terms.ts';

const identity = identityFromSeed(new Uint8Array(32).fill(1));
const OPERATOR: Actor = { operator: true };
const USERS: readonly Actor[] = ['amina', 'ben'].map((userId) => ({ operator: false, userId }));

let dir: ReturnType<typeof tempDir>;
let merger: Merger;
let node: LedgerNode;
let book: ContractBook;
beforeAll(async () => {
  dir = tempDir('contract-agreed');
  merger = threadedMerger();
  node = await openLedgerNode(dir.path, identity, merger);
  book = openToldBook(node, identity, {
    onFailure: (error) => {
      throw error;
    },
  });
});
afterAll(async () => {
  await book.stop();
  await node.close();
  await merger.stop();
  dir.remove();
});

/** What a node that keeps no rule may write into the document at any time. */
async function tamper(key: RecordKey, fields: Record<string, string | number | undefined>): Promise<void> {
  await node.ledger.write({
    keys: [key],
    draft: (pen, read) => [draftEdit(pen, key, key, read(key), fields)],
  });
}
/** The fields of a contract's answer that are no terms. */
const ABOUT = new Set(
  'id owner createdAt updatedAt contractId state status parties agreement settledBy cancelledBy transitions pings progressUpdates laterEdits'.split(
    ' ',
  ),
);
type Json = ReturnType<typeof contractJson>;
/** Its terms as the document names them. */
function termsIn(json: Json): Record<string, unknown> {
  const shown: Record<string, unknown> = {};
  for (const [field, value] of Object.entries(json)) {
    if (ABOUT.has(field) || field === 'terms') continue;
    if (field === 'deliveryWindow' && typeof value === 'object' && value !== null)
      for (const [end, day] of Object.entries(value)) shown[`${field}.${end}`] = day;
    else shown[field] = value;
  }
  return shown;
}
type Move =
  | { readonly what: 'step'; readonly who: number; readonly step: StepRequest }
  | { readonly what: 'edit'; readonly fields: Record<string, string | number | undefined> };
const edit: fc.Arbitrary<Record<string, string | number | undefined>> = fc.record(
  {
    price: fc.constantFrom(0.01, 55, 60),
    quantity: fc.constantFrom(1, 80, 8000),
    currency: fc.constantFrom('USD', 'KES'),
    title: fc.constantFrom('Gold', 'Maize'),
    notes: fc.constantFrom('as agreed', ''),
    'deliveryWindow.start': fc.constantFrom('2020-01-01', '2026-12-01'),
    status: fc.constantFrom('settled', 'open'),
    supplierId: fc.constantFrom('mallory', 'ben'),
    amountNeeded: fc.constantFrom('9', undefined),
    listingId: fc.constantFrom('other', `${identity.peerId}.maize`, undefined),
  },
  { requiredKeys: [] },
);
const step: fc.Arbitrary<StepRequest> = fc.constantFrom<StepRequest[]>(
  { kind: 'propose' },
  { kind: 'accept' },
  { kind: 'settle' },
  { kind: 'cancel' },
  { kind: 'resolve', outcome: 'accepted' },
  { kind: 'resolve', outcome: 'settled' },
  { kind: 'resolve', outcome: 'cancelled' },
);
const move: fc.Arbitrary<Move> = fc.oneof(
  fc.record({ what: fc.constant('step' as const), who: fc.constantFrom(0, 1), step }),
  fc.record({ what: fc.constant('edit' as const), fields: edit }),
);

/** Lives that chance does not meet for certain: agreed, then so ended, and written over after every step. */
function lived(...kinds: readonly ('settle' | 'cancel')[]): Move[] {
  const steps: StepRequest[] = [{ kind: 'accept' }, ...kinds.map((kind) => ({ kind }))];
  const moves = steps.flatMap((taken, i): Move[] => [
    { what: 'step', who: i === 0 ? 1 : i % 2, step: taken },
    { what: 'edit', fields: { price: i + 0.01, notes: `after ${taken.kind}` } },
  ]);
  // The run takes lives of a length that three divides as they are.
  while (moves.length % 3 !== 0) moves.push({ what: 'edit', fields: { title: 'Gold' } });
  return moves;
}

/** A life whose agreement has a delivery window, which chance seldom meets. */
const WITH_WINDOW: Move[] = [
  { what: 'edit', fields: { 'deliveryWindow.start': '2020-01-01' } },
  { what: 'step', who: 0, step: { kind: 'propose' } },
  { what: 'step', who: 1, step: { kind: 'accept' } },
];

describe('a contract over its life, its document written over at any time', () => {
  it('shows from the agreement on what was signed, and edits apart', async () => {
    const reached = new Set<string>();
    await fc.assert(
      fc.asyncProperty(fc.array(move, { minLength: 1, maxLength: 8 }), async (moves) => {
        const begun = await book.create(
          { ...DEAL, price: 55, quantity: 80, supplierId: 'ben' },
          USERS[0] ?? OPERATOR,
        );
        const { key } = begun.state;
        const plan: Move[] = [
          { what: 'edit' as const, fields: {} },
          { what: 'step' as const, who: 1, step: { kind: 'accept' } as StepRequest },
          ...moves,
        ];
        for (const one of moves.length % 3 === 0 ? moves : plan) {
          if (one.what === 'edit') await tamper(key, one.fields);
          else
            await book.step(key, one.step, USERS[one.who] ?? OPERATOR).catch((error: unknown) => {
              if (!(error instanceof AgrinetError)) throw error; // not every step may follow
            });
          const sight = await book.get(key, OPERATOR);
          const json = contractJson(sight);
          const [listed] = (
            await book.list({ listingId: undefined, requestId: undefined }, 500, undefined, OPERATOR)
          ).items.filter(({ state }) => state.key === key);
          expect(listed && contractJson({ ...listed, pings: sight.pings })).toEqual(json);
          const terms = json.agreement?.terms;
          if (terms === undefined) continue;
          reached.add(json.state);
          expect(termsIn(json)).toEqual({ ...terms });
          const document = (await new Reader(node.db).get(key))?.view ?? {};
          const names = new Set(
            [...Object.keys(document), ...Object.keys(terms)].filter((name) => name !== 'status'),
          );
          const changed = [...names].filter((name) => (document[name] ?? null) !== (terms[name] ?? null));
          expect(Object.keys(json.laterEdits ?? {}).sort()).toEqual(changed.sort());
          for (const name of changed) expect(json.laterEdits?.[name]).toBe(document[name] ?? null);
        }
      }),
      {
        numRuns: 60,
        examples: [
          [lived('settle', 'settle')],
          [lived('cancel', 'cancel')],
          [lived('settle')],
          [WITH_WINDOW],
        ],
      },
    );
    // A property that met none of the states would prove nothing.
    for (const state of ['accepted', 'settled', 'cancelled']) expect(reached).toContain(state);
  }, 60_000);
});

/** A case made of statements alone, as the machine judges them, over a document that says something else. */
function caseOf(transitions: readonly Transition[]): HeldContract {
  const key = recordKey('contracts', identity.peerId, 'x'.repeat(43));
  const state = {
    ...emptyState(key, collectionNamed('contracts'), key),
    view: { price: 0.01, title: 'Gold', status: 'settled' },
    conflicts: {
      price: [
        { value: 0.01, op: '1@a' },
        { value: 5, op: '1@b' },
      ],
    },
  };
  const { verdict, agreed } = evaluateStatements(CONTRACT, transitions);
  return {
    state,
    binding: { buyer: 'a', supplier: 'b', listing: '' },
    contract: CONTRACT,
    statements: transitions.map((transition) => ({ transition, bytes: new Uint8Array(0) })),
    verdict,
    agreed,
    repeated: new Set(),
  } as unknown as HeldContract; // the view of a record has no prototype, which nothing here asks for
}
const propose = (party: 'a' | 'b', terms: Terms, before: readonly string[] = []): Transition =>
  made({ kind: 'propose', terms, heads: [], ...(party === 'b' ? { validUntil: 9 } : {}) }, party, before);

describe('what is shown of an agreement', () => {
  const byA = propose('a', { ...deal(2), price: 5 });
  const byB = propose('b', { ...deal(2), price: 6, notes: 'in bags' });
  const acceptA = made({ kind: 'accept', proposal: byA.hash }, 'b', [byA.hash]);
  const acceptB = made({ kind: 'accept', proposal: byB.hash }, 'a', [byB.hash]);

  it('is the document while nothing is agreed', () => {
    const held = caseOf([byA, byB]);
    expect(shownContract(held)).toEqual({ state: held.state });
  });

  it('is where two agreements stand what both say, and neither’s word where they differ', () => {
    const held = caseOf([byA, byB, acceptA, acceptB]);
    expect(held.verdict.state).toBe('disputed');
    const { state, laterEdits } = shownContract(held);
    expect({ ...state.view }).toEqual({ quantity: 2, title: 'Maize', unit: 'kg', currency: 'KES' });
    expect(state.conflicts).toEqual({});
    expect(laterEdits).toEqual({
      price: 0.01,
      title: 'Gold',
      quantity: null,
      unit: null,
      currency: null,
    });
  });

  it.each(['accepted', 'settled', 'cancelled'] as const)(
    'is after a resolution to %s the agreement that it names',
    (outcome) => {
      const grounds = [acceptA.hash, acceptB.hash];
      const said = CONTRACT.parties.map((party) =>
        made(
          {
            kind: 'resolve',
            outcome,
            ...(outcome === 'cancelled' ? {} : { proposal: byB.hash }),
          },
          party,
          grounds,
        ),
      );
      const held = caseOf([byA, byB, acceptA, acceptB, ...said]);
      expect(held.verdict.state).toBe(outcome);
      const expected =
        outcome === 'cancelled'
          ? { quantity: 2, title: 'Maize', unit: 'kg', currency: 'KES' }
          : { ...deal(2), price: 6, notes: 'in bags' };
      expect({ ...shownContract(held).state.view }).toEqual(expected);
    },
  );

  it('is in a dispute over one agreement that agreement', () => {
    const settle = made({ kind: 'settle' }, 'a', [acceptA.hash]);
    const cancel = made({ kind: 'cancel' }, 'b', [acceptA.hash]);
    const held = caseOf([byA, acceptA, settle, cancel]);
    expect(held.verdict.state).toBe('disputed');
    expect({ ...shownContract(held).state.view }).toEqual({ ...deal(2), price: 5 });
  });

  it('is the document again when an expire has overtaken the acceptance', () => {
    const expire = made({ kind: 'expire', proposal: byB.hash }, 'b', [byB.hash], 10);
    const held = caseOf([byB, acceptB, expire]);
    expect(held.verdict.late).toContain(acceptB.hash);
    expect(shownContract(held).laterEdits).toBeUndefined();
  });

  it('never lets a signed name pass for the contract’s own, or a value that its field cannot hold', () => {
    const odd = propose('a', {
      ...deal(2),
      variety: 7,
      state: 'settled',
      status: 'settled',
      id: 'another',
      owner: 'another',
      parties: 'mallory',
      agreement: 'none',
      conflicts: 'none',
      pings: 'none',
    });
    const held = caseOf([odd, made({ kind: 'accept', proposal: odd.hash }, 'b', [odd.hash])]);
    expect({ ...shownContract(held).state.view }).toEqual(deal(2));
  });
});
