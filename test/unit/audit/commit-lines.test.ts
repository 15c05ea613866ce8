import { expect, it } from 'vitest';
import { commitLines } from '../../../daemon/audit/commit-lines.ts';
import { verifyTransition, signTransition } from '../../../protocols/market/contract/statement.ts';
import type { RecordState } from '../../../protocols/open-dialog/record.ts';
import { base64url } from '../../../protocols/wire/bytes.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';

const ann = identityFromSeed(new Uint8Array(32).fill(1));
const channel = recordKey('contracts', ann.peerId, 'c'.repeat(43));
const key = recordKey('transitions', ann.peerId, 't'.repeat(43));
const party = `ann@${ann.peerId}`;
const bytes = signTransition(ann, {
  net: 'agrinet',
  contract: channel,
  party,
  before: [],
  at: 1,
  kind: 'cancel',
});

function fact(statement: string): RecordState {
  return {
    key,
    channel,
    heads: ['t'.repeat(43)],
    view: { statement },
    fieldOps: {},
    conflicts: {},
    seqs: {},
    maxOp: 0,
    created: [1, 0],
    updated: [1, 0],
    tombstone: false,
    exists: true,
    pending: 0,
    ops: 1,
  };
}

const lineOf = (statement: string) =>
  commitLines({ changes: [{ key, before: undefined, after: fact(statement) }] })[0];

it('a line about a contract says which step it was and whose', () => {
  expect(lineOf(base64url(bytes))).toMatchObject({
    kind: 'contract',
    actor: party,
    note: 'cancel',
    transactionId: `${ann.peerId}.${'c'.repeat(43)}`,
    detail: { step: verifyTransition(bytes).hash },
  });
});

it('a step that was not signed right is noted as that, by the node that published it', () => {
  const wrong = bytes.with(-1, (bytes.at(-1) ?? 0) ^ 1);
  expect(lineOf(base64url(wrong))).toMatchObject({ actor: ann.peerId, note: 'transition-invalid' });
});
