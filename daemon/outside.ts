import { statfs } from 'node:fs/promises';
import type { Env } from '../protocols/env.ts';
import type { ReadingLimits, StartReadingWorker } from '../protocols/mycelium/range-reader.ts';
import type { StartMergeWorker } from '../protocols/open-dialog/merge-thread.ts';
import type { MirrorLimits } from '../storage/mirror/limits.ts';
import { Database, type DatabaseEnv, type OpenOptions } from '../storage/database.ts';
import type { GuardedFetchOptions } from './federation/guarded-fetch.ts';
import { openSourceKeys, type SourceKeys } from './federation/source-keys.ts';
import { folderBytes } from './folder-bytes.ts';
import { type HttpServer, serve, type ServeOptions } from './http.ts';
import { createHost, type Host, type HostOptions } from './libp2p-host.ts';
import type { StartPriceWorker } from './market/price-thread.ts';
import { startPriceWorker } from './market/start-price-worker.ts';
import { startMergeWorker } from './merging/start-merge-worker.ts';
import { startReadingWorker } from './reading/start-reading-worker.ts';
import { systemEnv } from './system-env.ts';

/** All that a node takes from the world outside, so that a test can put its own in the place of any of it. */
export interface Outside extends Pick<GuardedFetchOptions, 'lookup' | 'ca'> {
  /** Time, waiting and chance. */
  readonly env: Env;
  readonly openDatabase: (
    dataDir: string,
    env: DatabaseEnv,
    options: Pick<OpenOptions, 'onMigration'>,
  ) => Promise<Database>;
  /** Bytes that are free on the disk of a data folder. */
  readonly freeBytes: (dataDir: string) => Promise<number>;
  /** Bytes of the files in a folder. */
  readonly folderBytes: (folder: string) => Promise<number>;
  readonly openSourceKeys: (dataDir: string) => Promise<SourceKeys>;
  readonly startMergeWorker: StartMergeWorker;
  readonly startPriceWorker: StartPriceWorker;
  readonly startReadingWorker: StartReadingWorker;
  /** Other limits than the reader's own. */
  readonly readingLimits?: Partial<ReadingLimits>;
  readonly createHost: (options: HostOptions) => Promise<Host>;
  /** The HTTP API on a socket. */
  readonly serve: (options: ServeOptions) => Promise<HttpServer>;
  /** Other times than the mirror's own. */
  readonly mirrorLimits?: Partial<MirrorLimits>;
}

/** The machine this process runs on. */
export const machine: Outside = {
  env: systemEnv,
  openDatabase: (dataDir, env, options) => Database.open(dataDir, env, { ...options, tablesLater: true }),
  async freeBytes(dataDir) {
    const { bavail, bsize } = await statfs(dataDir);
    return bavail * bsize;
  },
  folderBytes,
  openSourceKeys,
  startMergeWorker,
  startPriceWorker,
  startReadingWorker,
  createHost,
  serve,
};
