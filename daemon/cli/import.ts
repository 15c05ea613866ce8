import { type FileHandle, open } from 'node:fs/promises';
import { SingleBar } from 'cli-progress';
import { Command } from 'commander';
import { AgrinetError, errorCode, errorMessage } from '../../protocols/errors.ts';
import { exitCodeFor } from '../exit-codes.ts';
import { systemEnv } from '../system-env.ts';
import { connect } from './client.ts';
import { importFile } from './import-run.ts';
import { JSON_OPTION, printJson, printLine } from './output.ts';
import { listingTemplate } from '../../protocols/market/listing-file.ts';
import type { ImportSummary, RefusedRow } from './import-run.ts';

/** This many bad rows are named one by one; the rest are only counted. */
const SHOWN_ROWS = 20;

/** `agrinet import`: the prices of a WFP file, or listings, into the running daemon; of prices a seller's listings on request. */
export function importCommand(): Command {
  return new Command('import')
    .description('import a file of listings (see --template) or of WFP food prices, one record per row')
    .argument(
      '[file]',
      'CSV file (any delimiter or encoding, optionally gzipped) or pipe; `-` for standard input',
    )
    .option('--template', 'print a listings file to fill in')
    .option(
      '--region <name...>',
      'only rows of these regions (admin1 of a price); "unspecified" matches rows without one',
    )
    .option('--listings', 'of prices: also create listings for --user at the latest price of each series')
    .option('--user <seller>', 'the user of this node whose listings they are')
    .option(...JSON_OPTION)
    .action(async (file: string | undefined, options: Options) => {
      if (options.template !== undefined) printLine(listingTemplate().trimEnd());
      else if (file !== undefined) await run(file, options);
      else throw new AgrinetError('usage', 'name a file to import, or --template to print one to fill in');
    });
}

interface Options {
  readonly template?: true;
  readonly region?: string[];
  readonly listings?: true;
  readonly user?: string;
  readonly json?: boolean;
}

/** The owner of a file's listings; undefined for none. Throws `usage`: an observed price is not an offer by itself. */
function sellerOf({ listings, user }: Options, kind: ImportSummary['kind']): string | undefined {
  if (user?.trim() === '') throw new AgrinetError('usage', '--user needs the name of a user');
  if (kind === 'listings') return user;
  if (listings === undefined && user !== undefined)
    throw new AgrinetError(
      'usage',
      '--user requires --listings for a file of prices: it names the user to create listings for',
    );
  if (listings !== undefined && user === undefined)
    throw new AgrinetError(
      'usage',
      '--listings requires --user <seller>: every listing is an offer by a user of this node',
    );
  return user;
}

/** Which regions `--region` lets through, whatever their case; all of them without it. */
export function regionFilter(regions: readonly string[] | undefined): (region: string) => boolean {
  if (regions === undefined || regions.length === 0) return () => true;
  const wanted = new Set(regions.map(fold));
  return (region) => wanted.has(fold(region));
}

function fold(region: string): string {
  return region.trim().normalize('NFC').toLowerCase();
}

async function run(file: string, options: Options): Promise<void> {
  const daemon = connect();
  const { handle, size } = await opened(file);
  const source = handle.createReadStream();
  const progress = createProgress(size, () => source.bytesRead);
  const refused: RefusedRow[] = [];
  const started = systemEnv.monotonic();
  let count = 0;
  try {
    const summary = await importFile(
      { source, post: async (body) => await daemon.postStream('/import', body, 'application/x-ndjson') },
      {
        wanted: regionFilter(options.region),
        seller: (kind) => sellerOf(options, kind),
        onProgress: progress.update,
        onRefused: (row) => {
          count += 1;
          if (refused.length < SHOWN_ROWS) refused.push(row);
        },
      },
    );
    progress.stop();
    report(summary, (systemEnv.monotonic() - started) / 1000, options);
    process.exitCode = exitCodeFor(outcomeOf(summary, options.region !== undefined));
  } catch (error) {
    // A file of another kind is the caller's mistake, as is one that is not there.
    if (errorCode(error) !== 'wfp.header' && errorCode(error) !== 'listings.header') throw error;
    const hint =
      errorCode(error) === 'wfp.header'
        ? '. A file of listings has a column "title": `agrinet import --template` prints one'
        : '';
    throw new AgrinetError('usage', `${file}: ${errorMessage(error)}${hint}`, { cause: error });
  } finally {
    progress.stop();
    source.destroy();
    for (const row of refused) process.stderr.write(`line ${row.line}: ${row.reason}\n`);
    if (count > refused.length) process.stderr.write(`and ${count - refused.length} more rejected rows\n`);
  }
}

/** Opened once: a pipe that is opened a second time has no writer any more. Its size is not known, 0. */
async function opened(file: string): Promise<{ handle: FileHandle; size: number }> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(file === '-' ? '/dev/stdin' : file);
    const stat = await handle.stat();
    if (stat.isDirectory()) throw new Error('is a folder');
    return { handle, size: stat.size };
  } catch (error) {
    await handle?.close();
    throw new AgrinetError('usage', `cannot read ${file}: ${errorMessage(error)}`, { cause: error });
  }
}

/** The exit code of a completed import: a script must not treat a file as imported if rows are missing. */
export function outcomeOf({ prices, listings, refused }: ImportSummary, byRegion: boolean): string {
  const held = prices.created + prices.unchanged + listings.created + listings.changed + listings.unchanged;
  if (held > 0) return refused > 0 ? 'rows-refused' : 'ok';
  if (refused > 0) return 'request-refused';
  return byRegion ? 'nothing-matched' : 'ok';
}

interface Progress {
  update: (kind: 'price' | 'listing', done: number, total: number | undefined) => void;
  stop: () => void;
}

/** A bar on a terminal, nothing elsewhere. Progress of prices is by the bytes read, for lack of a row count. */
function createProgress(size: number, bytesRead: () => number): Progress {
  if (!process.stderr.isTTY) return { update: () => undefined, stop: () => undefined };
  const bar = new SingleBar({
    format: '{kind} {bar} {percentage} % | {done} | {rate}/s',
    stream: process.stderr,
    hideCursor: true,
  });
  const started = { price: systemEnv.monotonic(), listing: 0 };
  bar.start(1, 0, { kind: 'prices  ', done: 0, rate: 0 });
  return {
    update: (kind, done, total) => {
      if (kind === 'listing') started.listing ||= systemEnv.monotonic();
      const seconds = Math.max((systemEnv.monotonic() - started[kind]) / 1000, 0.001);
      bar.setTotal(total ?? Math.max(size, 1));
      bar.update(total === undefined ? Math.min(bytesRead(), size) : done, {
        kind: kind === 'price' ? 'prices  ' : 'listings',
        done,
        rate: Math.round(done / seconds),
      });
    },
    stop: () => {
      if (bar.isActive) bar.stop();
    },
  };
}

function report(
  { kind, prices, listings, refused, skipped }: ImportSummary,
  seconds: number,
  options: Options,
): void {
  const records =
    prices.created + prices.unchanged + listings.created + listings.changed + listings.unchanged;
  const rate = Math.round(records / Math.max(seconds, 0.001));
  if (options.json === true) {
    printJson({ kind, prices, listings, refused, skipped, seconds, recordsPerSecond: rate });
    return;
  }
  const parts = [
    ...(kind === 'prices' ? [`prices: ${prices.created} created, ${prices.unchanged} unchanged`] : []),
    ...(kind === 'listings' || options.listings === true
      ? [
          `listings: ${listings.created} created, ${listings.changed} changed, ${listings.unchanged} unchanged`,
        ]
      : []),
    `rejected: ${refused}`,
    ...(skipped > 0 ? [`skipped (other regions): ${skipped}`] : []),
  ];
  printLine(`${parts.join('; ')} (${seconds.toFixed(1)} s, ${rate} records/s)`);
}
