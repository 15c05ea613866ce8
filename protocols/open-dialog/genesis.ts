import { sha256Hex } from '../wire/bytes.ts';
import { changeHash, encodeChange } from './change.ts';
import type { Collection } from './schema.ts';

/** The golden genesis change of a document schema: the same bytes on every node, so that two creations share a root. */
export interface Genesis {
  readonly bytes: Uint8Array;
  readonly hash: string;
  /** Its largest op counter: the first change starts one above. */
  readonly maxOp: number;
}

/** The field that only the genesis sets. */
export const SCHEMA_FIELD = 'schema';

const made = new Map<string, Genesis>();

/** The genesis of a collection; `protocols/vectors.json` pins the bytes. */
export function genesisOf(collection: Collection): Genesis {
  const known = made.get(collection.name);
  if (known !== undefined) return known;
  const name = `${collection.name}/${collection.version}`;
  const bytes = encodeChange({
    actor: sha256Hex(`agrinet/genesis/${name}`).slice(0, 32),
    seq: 1,
    startOp: 1,
    time: 0,
    deps: [],
    ops: [{ action: 'set', field: SCHEMA_FIELD, value: name, pred: [] }],
  });
  const genesis = { bytes, hash: changeHash(bytes), maxOp: 1 };
  made.set(collection.name, genesis);
  return genesis;
}
