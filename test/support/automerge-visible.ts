import * as Automerge from '@automerge/automerge';
import { FlooredChanges } from '../../protocols/open-dialog/floored-changes.ts';
import { genesisOf, SCHEMA_FIELD } from '../../protocols/open-dialog/genesis.ts';
import type { MergeInput } from '../../protocols/open-dialog/rule.ts';
import { type Collection } from '../../protocols/open-dialog/schema.ts';

/** Which op ids of each field are visible at some heads, as Automerge itself tells; the winner first. */
export function automergeVisible(
  collection: Collection,
  { changes, floor }: Pick<MergeInput, 'changes' | 'floor'>,
  heads: readonly string[],
): Record<string, string[]> {
  const genesis = genesisOf(collection);
  const floored = floor && new FlooredChanges(genesis.hash, floor, changes);
  const at = [...(floored?.names(heads) ?? heads)];
  let document = Automerge.init<Record<string, unknown>>();
  try {
    [document] = Automerge.applyChanges(document, [genesis.bytes, ...(floored?.changes ?? changes)]);
    const backend = Automerge.getBackend(document);
    const visible: Record<string, string[]> = {};
    for (const field of backend.keys('/', at)) {
      if (field === SCHEMA_FIELD) continue;
      visible[field] = backend
        .getAll('/', field, at)
        .reverse()
        .map(([, , op = '']) => op);
    }
    return visible;
  } finally {
    Automerge.free(document);
  }
}

/** The same as a change of this actor names it: its own writes first. */
export function namedBy(actor: string, visible: Record<string, string[]>): Record<string, string[]> {
  const isMine = (op: string): boolean => op.endsWith(`@${actor}`);
  return Object.fromEntries(
    Object.entries(visible).map(([field, ops]) => [
      field,
      [...ops.filter(isMine), ...ops.filter((op) => !isMine(op))].slice(0, 16),
    ]),
  );
}
