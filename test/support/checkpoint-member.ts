import { afterAll, afterEach } from 'vitest';
import type { CheckpointOutcome } from '../../api/ports/checkpoints.ts';
import { Checkpoints, type CheckpointsParts } from '../../daemon/checkpoint/checkpoints.ts';
import { CHECKPOINT_TIMES } from '../../daemon/checkpoint/limits.ts';
import { systemEnv } from '../../daemon/system-env.ts';
import type { Checkpoint } from '../../protocols/feed/checkpoint.ts';
import { draftEdit, draftErasure, draftFact, draftTombstone } from '../../protocols/ledger/drafts.ts';
import { erasureStatements } from '../../protocols/ledger/erasure-request.ts';
import type { Merger } from '../../protocols/open-dialog/merger.ts';
import { recordKey, type RecordKey } from '../../protocols/wire/ids.ts';
import type { Identity } from '../../protocols/wire/identity.ts';
import { createInlineMerges } from './inline-merges.ts';
import { type LedgerNode, openLedgerNode } from './ledger-node.ts';
import { tempDir } from './temp-dir.ts';

/** A node that makes and verifies checkpoints. */
export interface Member extends LedgerNode {
  readonly identity: Identity;
  readonly dir: string;
  readonly alarmed: Checkpoint[];
  /** What became of checkpoints, in the order in which it was told. */
  readonly told: string[];
  /** Its checkpoints, lagging so many milliseconds. */
  checkpoints(lagMs?: number, parts?: Partial<CheckpointsParts>): Checkpoints;
}

/** Verification rests most of the time; here it does not. */
const HASTY: CheckpointsParts['env'] = {
  cpu: () => systemEnv.cpu(),
  monotonic: () => systemEnv.monotonic(),
  after: (_, then, options) => systemEnv.after(0, then, options),
};

/** Members of a test file, each closed after its test, and what merges for them. */
export function checkpointMembers() {
  const merger = createInlineMerges(systemEnv);
  const open: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of open.splice(0)) await close();
  });
  afterAll(() => merger.stop());
  /** Opens one that follows these. */
  const member = (identity: Identity, followed: readonly Identity[] = []): Promise<Member> =>
    openMember(merger, (close) => open.push(close), identity, followed);
  return { merger, member };
}

/** Opens one by itself, in a folder of its own or in one that is there. */
export async function openMember(
  merger: Merger,
  onClose: (close: () => Promise<void>) => void,
  identity: Identity,
  followed: readonly Identity[] = [],
  dir: { readonly path: string; remove(): void } = tempDir('checkpoint'),
): Promise<Member> {
  const made: Checkpoints[] = [];
  const node = await openLedgerNode(dir.path, identity, merger, (committed) => {
    for (const each of made) each.committed(committed);
  });
  const alarmed: Checkpoint[] = [];
  const told: string[] = [];
  onClose(async () => {
    for (const each of made) await each.stop();
    await node.close();
    dir.remove();
  });
  return {
    ...node,
    identity,
    dir: dir.path,
    alarmed,
    told,
    checkpoints(lagMs = 0, parts = {}) {
      const checkpoints = new Checkpoints({
        identity,
        net: 'test',
        store: node.store,
        db: node.db,
        ledger: node.ledger,
        awaitFence: async () => undefined,
        isKeyElsewhere: () => false,
        everyDays: 0,
        followed: () => followed.map(({ peerId }) => peerId),
        onFalse: (checkpoint) => alarmed.push(checkpoint),
        onEvent: ({ node: of, outcome }) =>
          told.push(`${of === identity.peerId ? 'own' : 'other'} ${outcome}`),
        log: () => undefined,
        now: Date.now,
        env: HASTY,
        times: { ...CHECKPOINT_TIMES, lagMs },
        ...parts,
      });
      made.push(checkpoints);
      return checkpoints;
    },
  };
}

export async function edit(
  node: LedgerNode,
  id: string,
  patch: Record<string, string | number>,
): Promise<void> {
  const key = recordKey('listings', node.self, id);
  await node.ledger.write({
    keys: [key],
    draft: (writer, read) => [draftEdit(writer, key, 'public', read(key), patch)],
  });
}

export const end = (node: LedgerNode, key: RecordKey): Promise<unknown> =>
  node.ledger.write({ keys: [key], draft: () => [draftTombstone(key, 'public')] });

export const fact = (
  node: LedgerNode,
  collection: string,
  fields: Record<string, string | number>,
): Promise<unknown> =>
  node.ledger.write({ keys: [], draft: (writer) => [draftFact(writer, collection, fields)] });

/** Takes all that a listing says out of the entries, as its author may. */
export async function erase(node: Member, id: string): Promise<void> {
  const key = recordKey('listings', node.self, id);
  const statements = erasureStatements(node.self, key, await node.store.recordOps(key), Date.now());
  await node.ledger.write({
    keys: [],
    draft: () => [draftErasure(node.identity, 'public', statements)],
  });
}

/** The newest time that a node has signed. */
export async function newestTime(node: LedgerNode): Promise<number> {
  const feeds = node.store.feeds(node.self, 'public');
  const heads = await Promise.all(feeds.map(({ no, seq }) => node.store.entry(no, seq)));
  return Math.max(...heads.map((entry) => entry?.header.time[0] ?? 0));
}

export const made = (checkpoints: Checkpoints): Promise<CheckpointOutcome> =>
  checkpoints.make(() => undefined);
export const planned = (checkpoints: Checkpoints): Promise<CheckpointOutcome> =>
  checkpoints.plan(() => undefined);
export const heldOf = async (node: LedgerNode, author = node.self): Promise<Checkpoint[]> =>
  (await Array.fromAsync(node.store.checkpoints(author))).map(({ checkpoint }) => checkpoint);

/** What a node finds of the checkpoint of the one author that it follows, and why. */
export async function found(
  node: Member,
  checkpoints = node.checkpoints(),
): Promise<{ readonly verified: unknown; readonly why: string | undefined }> {
  await checkpoints.look();
  const shown = (await checkpoints.status()).checkpoints.find(({ author }) => author !== node.self);
  return { verified: shown?.verified, why: shown?.why };
}

export const verified = async (node: Member): Promise<unknown> => (await found(node)).verified;
