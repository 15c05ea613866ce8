import { cpSync } from 'node:fs';
import { afterEach, expect, it } from 'vitest';
import { rebuildStore } from '../../../daemon/rebuild.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { makeForkProof } from '../../../protocols/feed/fork.ts';
import { draftFact } from '../../../protocols/ledger/drafts.ts';
import type { Commit } from '../../../protocols/ledger/ports.ts';
import { TURNED } from '../../../protocols/open-dialog/record.ts';
import type { RecordKey } from '../../../protocols/wire/ids.ts';
import { LIMITS } from '../../../protocols/wire/limits.ts';
import { Database } from '../../../storage/database.ts';
import { Hand, openLedger, privateRecord, type TestLedger } from '../../support/forge.ts';
import { createInlineMerges } from '../../support/inline-merges.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

const MESSAGES = 2 * LIMITS.entryOps + 500;
const PER_ENTRY = 500;
const [owner, other] = [nodeOf(1), nodeOf(2)];
const FEED = 'a'.repeat(16);

const folders: { remove(): void }[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) folder.remove();
});
function folder(): string {
  const dir = tempDir('channel-facts');
  folders.push(dir);
  return dir.path;
}

async function opened(path: string): Promise<TestLedger> {
  const node = await openLedger(path, other);
  node.followStates.set(owner.peerId, 'followed');
  return node;
}

/** A conversation: its messages of one epoch, and its creation in another. */
function conversation() {
  const { key: channel, ops } = privateRecord(
    { author: owner.peerId, epoch: 'b'.repeat(16) },
    [owner.peerId, other.peerId].sort(),
  );
  const hand = new Hand(owner, FEED, channel);
  const messages: Uint8Array[] = [];
  for (let at = 0; at < MESSAGES; at += PER_ENTRY) {
    const some = Array.from({ length: Math.min(PER_ENTRY, MESSAGES - at) }, (_, i) => {
      const said = {
        from: `u@${owner.peerId}`,
        type: 'text',
        content: `no ${at + i}`,
        sentAt: 1_700_000_000_000 + at + i,
      };
      return [...draftFact(hand.pen, 'messages', said, channel).ops];
    });
    messages.push(hand.next(some.flat()).bytes);
  }
  const creator = new Hand(owner, 'b'.repeat(16), channel);
  const unlike = creator.sign([...privateRecord(creator.pen, [owner.peerId, other.peerId].sort()).ops]);
  const creation = creator.next(ops);
  return { channel, messages, creation, proof: makeForkProof(creation, unlike).bytes };
}

function onCommit(node: TestLedger, after: (commit: Commit) => void): void {
  const { store } = node;
  const handOver = store.handOver.bind(store);
  store.handOver = async (commit, ...rest) => {
    const { written } = await handOver(commit, ...rest);
    return { written: written.then(() => after(commit)) };
  };
}

const shown = (node: TestLedger, channel: RecordKey): number =>
  node.store.digests.ofOwner(channel, owner.peerId).get('messages')?.count ?? 0;

it('thousands of messages whose conversation is created after them, or is forked away, are evaluated in commits no larger than an entry; also after a crash', async () => {
  const { channel, messages, creation, proof } = conversation();
  const path = folder();
  const node = await opened(path);
  for (const bytes of messages) await node.ledger.receive([bytes]);
  expect(shown(node, channel)).toBe(0);
  const sizes: number[] = [];
  const copies: string[] = [];
  onCommit(node, ({ records }) => {
    sizes.push(records.length);
    const copy = folder();
    cpSync(path, copy, { recursive: true });
    copies.push(copy);
  });
  await node.ledger.receive([creation.bytes]);
  await node.ledger.drain();
  expect(shown(node, channel)).toBe(MESSAGES);
  expect(sizes.length).toBeGreaterThanOrEqual(4);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(LIMITS.entryOps + 1);
  expect(await node.store.awaiting(TURNED)).toEqual([]);
  const digest = node.store.digests.one(channel, owner.peerId, 'messages');

  sizes.splice(0);
  expect(await node.ledger.receiveProof(proof)).toBe('new');
  await node.ledger.drain();
  expect(shown(node, channel)).toBe(0);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(LIMITS.entryOps + 1);
  await node.close();

  for (const copy of copies.slice(0, 2)) {
    const again = await opened(copy);
    expect(await again.store.awaiting(TURNED)).toEqual([channel]);
    await again.ledger.drain();
    expect(again.store.digests.one(channel, owner.peerId, 'messages')).toEqual(digest);
    expect(await again.store.awaiting(TURNED)).toEqual([]);
    await again.close();
  }
  // A rebuild comes upon the messages first, too.
  const [copy] = copies;
  const db = await Database.open(copy ?? '', systemEnv);
  const { store } = await rebuildStore(db, createInlineMerges(systemEnv), () => undefined);
  expect(store.digests.one(channel, owner.peerId, 'messages')).toEqual(digest);
  expect(await store.awaiting(TURNED)).toEqual([]);
  await db.close();
}, 240_000);
