import { describe, expect, it } from 'vitest';
import { recordEvents } from '../../../daemon/events/record-events.ts';
import type { RecordChange } from '../../../protocols/ledger/ports.ts';
import type { RecordState } from '../../../protocols/open-dialog/record.ts';
import { recordKey, type RecordKey } from '../../../protocols/wire/ids.ts';
import { randomFrom, someIdentity } from '../../support/forge.ts';

const owner = someIdentity(randomFrom(1)).peerId;

function state(key: RecordKey, more: Partial<RecordState> = {}): RecordState {
  return {
    key,
    channel: 'public',
    heads: [],
    view: {},
    fieldOps: {},
    conflicts: {},
    seqs: {},
    maxOp: 1,
    created: [1_700_000_000_000, 0],
    updated: [1_700_000_000_000, 0],
    tombstone: false,
    exists: true,
    pending: 0,
    ops: 1,
    ...more,
  };
}
const change = (after: RecordState, before?: RecordState): RecordChange => ({
  key: after.key,
  before,
  after,
});
const lost = [{ value: 1, op: '2@a' }];

describe('what a commit means to those who listen', () => {
  const listing = recordKey('listings', owner, 'l1');
  const conversation = recordKey('conversations', owner, 'c1');
  const message = recordKey('messages', owner, 'm1');

  it('a conflict that a field did not have; nothing per listing', () => {
    const before = state(listing, { conflicts: { price: lost } });
    const after = state(listing, { conflicts: { price: lost, title: lost } });
    expect(recordEvents({ changes: [change(state(listing))] })).toEqual([]);
    expect(recordEvents({ changes: [change(after, before)] })).toEqual([
      { type: 'conflict', data: { record: `${owner}.l1`, collection: 'listings', field: 'title' } },
    ]);
    expect(recordEvents({ changes: [change(after, after)] })).toEqual([]);
    const ended = state(listing, { conflicts: { title: lost }, tombstone: true });
    expect(recordEvents({ changes: [change(ended, before)] })).toEqual([]);
  });

  it('tells of a private record only the operator', () => {
    const after = state(conversation, { channel: conversation, conflicts: { title: lost } });
    expect(recordEvents({ changes: [change(after)] })).toMatchObject([
      { type: 'conflict', audience: { operatorOnly: true } },
    ]);
  });

  it('a new message, once, for its conversation, as old clients know it', () => {
    const from = `amina@${owner}`;
    const view = { from, to: 'baraka', type: 'text', content: 'Habari', sentAt: 1_700_000_000_500 };
    const after = state(message, { channel: conversation, view });
    expect(recordEvents({ changes: [change(after)] })).toEqual([
      {
        type: 'message',
        data: {
          message: {
            id: `${owner}.m1`,
            conversationId: `${owner}.c1`,
            from,
            to: 'baraka',
            content: 'Habari',
            type: 'text',
            timestamp: '2023-11-14T22:13:20.500Z',
          },
        },
        audience: { conversation },
      },
    ]);
    expect(recordEvents({ changes: [change(after, after)] })).toEqual([]);
    // What another node's user is made to say is told to nobody, as no list shows it.
    const other = someIdentity(randomFrom(2)).peerId;
    for (const stolen of [`amina@${other}`, 'amina'])
      expect(
        recordEvents({
          changes: [change(state(message, { channel: conversation, view: { ...view, from: stolen } }))],
        }),
      ).toEqual([]);
    const far = state(message, { channel: conversation, view: { ...view, sentAt: 9e18 } });
    expect(recordEvents({ changes: [change(far)] })).toMatchObject([
      { data: { message: { timestamp: '2023-11-14T22:13:20.000Z' } } },
    ]);
  });

  it('is bounded', () => {
    const changes = Array.from({ length: 3000 }, (_, i) =>
      change(state(recordKey('listings', owner, `l${i}`), { conflicts: { a: lost, b: lost } })),
    );
    expect(recordEvents({ changes })).toHaveLength(1024);
  });
});
