import type { ImportTotals } from '../../api/ports/sync-target.ts';
import type { Env } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import {
  LEGACY_COLLECTIONS,
  type LegacyCollection,
  legacyId,
  legacyRow,
  type LegacyRow,
} from '../../protocols/market/legacy.ts';
import { SCHEMA_VERSION } from '../../protocols/open-dialog/schema.ts';
import type { LegacyTable, LegacyWriter } from '../../storage/legacy-table.ts';
import type { ExportItem, ExportSummary, readExport } from './legacy-stream.ts';
import { KeyedQueue } from '../../protocols/serial-queue.ts';

export const IMPORT_LIMITS = {
  /** One export of an old back end. */
  bodyBytes: 256 * 1024 * 1024,
  /** Refused items that are listed one by one; the others are only counted. */
  named: 100,
  /** Items checked and written at a time. */
  batch: 256,
} as const;

export interface ImportOptions {
  /** Begin with nothing from this source; what was held is kept until everything has been imported. */
  readonly force: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((totals: ImportTotals) => Promise<void>) | undefined;
}

/** The one way in for items of old nodes. */
export interface LegacyImporter {
  /** Throws `export-malformed`, `export-differs`, `schema-newer`; then nothing has changed. */
  take(
    source: string,
    body: { read(): AsyncIterable<Uint8Array> },
    options: ImportOptions,
  ): Promise<ImportTotals & { readonly sha256: string }>;
}

export function createLegacyImporter(
  table: LegacyTable,
  env: Pick<Env, 'after'>,
  now: () => number,
): LegacyImporter {
  /** One import of a source at a time. */
  const queue = new KeyedQueue();

  async function takeNow(
    source: string,
    body: { read(): AsyncIterable<Uint8Array> },
    options: ImportOptions,
  ): Promise<ImportTotals & { sha256: string }> {
    const { readExport } = await import('./legacy-stream.ts');
    // Read twice: nothing is stored of a body that breaks off, or does not match its own hash.
    const { sha256 } = await surveyExport(readExport(body.read(), env), options.signal);
    const writer = await table.begin(source, options.force);
    try {
      const totals = await importItems(readExport(body.read(), env), writer, options, now());
      await writer.finish();
      return { ...totals, sha256 };
    } catch (error) {
      await writer.abandon();
      throw error;
    }
  }

  return {
    async take(source, body, options) {
      return queue.run(source, () => takeNow(source, body, options));
    },
  };
}

/** Reads all of an export and checks it against its own figures. */
async function surveyExport(
  items: ReturnType<typeof readExport>,
  signal: AbortSignal | undefined,
): Promise<ExportSummary> {
  let next = await items.next();
  while (next.done !== true) {
    signal?.throwIfAborted();
    next = await items.next();
  }
  const found = next.value;
  if (found.schemaVersion !== undefined && found.schemaVersion > SCHEMA_VERSION) {
    throw new AgrinetError(
      'schema-newer',
      `the export has schema version ${found.schemaVersion}, but this node only knows ${SCHEMA_VERSION}; upgrade agrinetd`,
    );
  }
  if (found.claimedCount !== undefined && found.claimedCount !== found.count) {
    throw new AgrinetError(
      'export-differs',
      `the export contains ${found.count} items but declares ${found.claimedCount}; request it again`,
    );
  }
  if (found.claimedSha256 !== undefined && found.claimedSha256 !== found.sha256)
    throw new AgrinetError(
      'export-differs',
      'the items of the export do not match its sha256; request it again',
    );
  return found;
}

async function importItems(
  items: ReturnType<typeof readExport>,
  writer: LegacyWriter,
  options: ImportOptions,
  now: number,
): Promise<ImportTotals> {
  const totals: ImportTotals = { imported: 0, unchanged: 0, refusedCount: 0, refused: [] };
  let waiting: { row: LegacyRow; index: number }[] = [];
  const refuse = (collection: string, index: number, id: string | undefined, reason: string): void => {
    totals.refusedCount++;
    if (totals.refused.length < IMPORT_LIMITS.named)
      totals.refused.push(
        id === undefined ? { collection, index, reason } : { collection, index, id, reason },
      );
  };
  const flush = async (): Promise<void> => {
    options.signal?.throwIfAborted();
    const verdicts = await writer.write(waiting.map(({ row }) => row));
    for (const [i, verdict] of verdicts.entries()) {
      const item = waiting[i];
      if (verdict === 'imported') totals.imported++;
      else if (verdict === 'unchanged') totals.unchanged++;
      else if (item !== undefined)
        refuse(item.row.collection, item.index, item.row.id, 'not newer than what is held of it');
    }
    waiting = [];
    await options.onProgress?.(totals);
  };
  for await (const item of items) {
    if (!isCollection(item.section)) continue;
    const row = item.problem ?? legacyRow(item.section, item.value, now);
    if (typeof row === 'string') refuse(item.section, item.index, idOf(item), row);
    else waiting.push({ row, index: item.index });
    if (waiting.length >= IMPORT_LIMITS.batch) await flush();
  }
  if (waiting.length > 0) await flush();
  return totals;
}

function isCollection(section: string): section is LegacyCollection {
  return LEGACY_COLLECTIONS.some((name) => name === section);
}

/** Its id for the report, when it has one that can be shown. */
function idOf({ value }: ExportItem): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return legacyId(value);
}
