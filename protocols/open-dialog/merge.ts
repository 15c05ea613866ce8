import * as Automerge from '@automerge/automerge';
import { AgrinetError } from '../errors.ts';
import type { RecordKey } from '../wire/ids.ts';
import type { Scalar } from './change.ts';
import type { DocumentFloor } from './floor.ts';
import { FlooredChanges } from './floored-changes.ts';
import { FieldValues } from './field-values.ts';
import { genesisOf, SCHEMA_FIELD } from './genesis.ts';
import type { FieldValue, Values } from './record.ts';
import { collectionOf } from './schema.ts';

/** The result of a document's applied changes, above its floor where it has one: the visible values of each field and their op ids, all of them Automerge's. */
export function mergeChanges(key: RecordKey, changes: readonly Uint8Array[], floor?: DocumentFloor): Values {
  return withDocument(key, changes, floor, (document) => {
    const values = new FieldValues();
    for (const [field, visible] of fieldsOf(document)) values.set(field, visible);
    return values.all;
  });
}

type Backend = ReturnType<typeof Automerge.getBackend>;

function withDocument<T>(
  key: RecordKey,
  changes: readonly Uint8Array[],
  floor: DocumentFloor | undefined,
  read: (document: Backend) => T,
): T {
  const collection = collectionOf(key);
  if (collection?.kind !== 'document') throw new TypeError(`${key} is no document`);
  const genesis = genesisOf(collection);
  const floored = floor && new FlooredChanges(genesis.hash, floor, changes);
  let document = Automerge.init<Record<string, unknown>>();
  try {
    [document] = Automerge.applyChanges(document, [genesis.bytes, ...(floored?.changes ?? changes)]);
    return read(Automerge.getBackend(document));
  } finally {
    // wasm memory is not freed by the garbage collector in time.
    Automerge.free(document);
  }
}

/** The values of each field, the winner first. */
function* fieldsOf(document: Backend): Generator<[field: string, FieldValue[]]> {
  for (const field of document.keys('/')) {
    if (field === SCHEMA_FIELD) continue;
    // Automerge returns the winner last.
    const all = document.getAll('/', field).reverse();
    yield [field, all.map(([type, value, op = '']) => ({ op, value: scalarOf(type, value) }))];
  }
}

function scalarOf(type: string, value: unknown): Scalar {
  if (value === null || typeof value === 'string' || typeof value === 'boolean' || typeof value === 'number')
    return value;
  // The largest safe integers come as bigints.
  if (typeof value === 'bigint') return Number(value);
  throw new AgrinetError('merge-failed', `Automerge tells a value of type ${type}`);
}
