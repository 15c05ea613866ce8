import type { Database } from '../database.ts';
import { fullKey } from '../keyspace.ts';
import { putJson, soundJson, verifiedJson } from '../values.ts';

const KEY = fullKey('meta', 'mirror');
const GENERATION = fullKey('meta', 'generation');

/** What a node remembers of its mirror from one start to the next. */
export interface MirrorMemory {
  /** The highest this node has had. */
  readonly incarnation: number;
  /** The token of the process that wrote last: the holder has the same, unless another process has written in between. */
  readonly claim: string;
  /** Of the change order: another after a rebuild. */
  readonly generation: string;
  /** Which tables, by endpoint, region and prefix. */
  readonly tables: string;
  /** A fill in progress: the full key after which it continues, empty for the beginning. */
  readonly fill?: string;
  /** What the tables hold in addition to LevelDB is to be removed, once everything else is written. */
  readonly repair?: true;
  /** The mirror was off since: what was written then is in no outbox. */
  readonly off?: true;
}

/** Undefined at the first start, or when it is damaged: then everything is written again. */
export async function readMemory(db: Database): Promise<MirrorMemory | undefined> {
  return soundJson<MirrorMemory>(KEY, await db.level.get(KEY));
}

/** The batch operation that notes it. */
export function memoryOp(memory: MirrorMemory): { type: 'put'; key: string; value: Uint8Array } {
  return putJson(KEY, memory);
}

export async function generationOf(db: Database): Promise<string> {
  const value = await db.level.get(GENERATION);
  return value === undefined ? '' : verifiedJson<string>(GENERATION, value);
}

/** To be called when the mirror is off: what is written from now on is in no outbox. */
export async function noteOff(db: Database): Promise<void> {
  const memory = await readMemory(db);
  if (memory !== undefined && memory.off !== true)
    await db.batch([memoryOp({ ...memory, off: true })], false);
}

/** Why everything has to be written, or undefined. `before`: the holder of the tables until now. */
export function fillReason(
  memory: MirrorMemory | undefined,
  now: {
    readonly tables: string;
    readonly generation: string;
    readonly commits: number;
    readonly before: { readonly claim: string; readonly commits: number } | undefined;
  },
): string | undefined {
  if (now.before === undefined) return 'nobody has written to these tables yet';
  if (memory === undefined) return 'this database has not written to these tables yet';
  if (memory.tables !== now.tables) return 'these are other tables than before';
  if (memory.off === true) return 'the mirror was off';
  if (memory.generation !== now.generation) return 'the database was rebuilt';
  if (memory.claim !== now.before.claim) return 'another database has written to these tables since';
  if (now.commits < now.before.commits) return 'the database is older than the tables';
  return undefined;
}
