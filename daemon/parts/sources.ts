import type { SyncSource } from '../../api/ports/sync-target.ts';
import { HttpNodes } from '../../protocols/registry/http-nodes.ts';
import { LegacyTable } from '../../storage/legacy-table.ts';
import { Reader } from '../../storage/reader.ts';
import { sourceTable, type SourceTable } from '../../storage/source-table.ts';
import { httpNodeStore } from '../../storage/tables.ts';
import type { SourceKeys } from '../federation/source-keys.ts';
import { syncSources } from '../federation/sources.ts';
import { definePart } from '../parts.ts';
import type { PartList } from '../parts.ts';
import type { Node } from './running.ts';
import type { NoteLeftOut } from '../../api/ports/left-out.ts';
import { errorCode } from '../../protocols/errors.ts';

/** Reads records for those that show them; it leaves out and reports what it cannot read. */
export function defineReading(parts: PartList, node: Pick<Node, 'db' | 'alarms' | 'logger'>) {
  const leftOut = createLeftOut(
    (alarm) => node.alarms.raise(alarm),
    (message, fields) => node.logger.error(fields, message),
  );
  const reader = parts.add(definePart('reader', () => ({ face: new Reader(node.db, leftOut) })));
  return { leftOut, reader };
}

/** Nodes as they are reached over HTTP. */
export interface Sources {
  /** Those without an identity. */
  readonly httpNodes: HttpNodes;
  /** Their exports. */
  readonly legacy: LegacyTable;
  readonly keys: SourceKeys;
  readonly table: SourceTable;
  readonly list: () => SyncSource[];
}

/** Whom this node syncs with over HTTP, and how far it has come. */
export function defineSources(
  node: Pick<Node, 'outside' | 'settings' | 'db' | 'registry' | 'events' | 'logger'>,
) {
  return definePart<Sources>('sources', async () => {
    const { outside, settings, db, registry, events, logger } = node;
    const keys = await outside.openSourceKeys(settings.dataDir);
    const onDamaged = (key: string): void =>
      logger.error({ key }, 'a registration is damaged and has no effect; register that node again');
    const httpNodes = await HttpNodes.open(httpNodeStore(db, onDamaged), ({ id, status }) => {
      logger.info({ node: id, status }, 'registration');
      events.emit('federation.node', { node: id, status });
    });
    const list = (): SyncSource[] => syncSources(registry.list(), httpNodes.list());
    return { face: { httpNodes, legacy: new LegacyTable(db), keys, table: sourceTable(db), list } };
  });
}

/** Records reported one by one; any others are not logged. */
const TOLD = 1000;

/** Tells of records that lists leave out: each once in the log, and all by one alarm, which the doctor repeats. */
function createLeftOut(
  raise: (alarm: { readonly kind: 'record-left-out' }) => void,
  log: (message: string, fields: Record<string, unknown>) => void,
): NoteLeftOut {
  const told = new Set<string>();
  return ({ key, error }) => {
    raise({ kind: 'record-left-out' });
    if (told.has(key) || told.size >= TOLD) return;
    told.add(key);
    log('a record is left out of lists', { key, code: errorCode(error), err: error });
  };
}
