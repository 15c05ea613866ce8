import { z } from 'zod';
import { systemEnv } from '../system-env.ts';
import { readLines } from '../../protocols/market/lines.ts';
import { type ImportFile, openImportFile } from '../../protocols/market/import-file.ts';
import type { ListingRow } from '../../protocols/market/listing-file.ts';
import { NewestPrices, NO_REGION } from '../../protocols/market/price-listings.ts';
import type { WfpRow } from '../../protocols/market/wfp.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { printable } from './output.ts';
import { parsedJson } from '../../protocols/wire/json.ts';

/** Rows in one request: no more than the refused rows that the daemon names one by one in its answer. */
const BATCH_ROWS = 1_000;
/** A progress line of the daemon names each refused row, so it may be as long as the batch that it answers. */
const MAX_ANSWER_LINE = 4_194_304;

/** The result of an import. Rows outside the wanted regions are only in `skipped`. */
export interface ImportSummary {
  /** The contents of the file. */
  kind: ImportFile['kind'];
  prices: { created: number; unchanged: number };
  listings: { created: number; changed: number; unchanged: number };
  /** Rows that could not be read, and records that the daemon refused. */
  refused: number;
  skipped: number;
}

/** A row that did not go in; `line` is its line in the file. */
export interface RefusedRow {
  line: number;
  reason: string;
}

/** What `importFile` needs from outside. */
export interface ImportComponents {
  source: AsyncIterable<Uint8Array | string>;
  /** POSTs NDJSON to the daemon's /import; resolves to the answer whatever its status. */
  post: (body: string) => Promise<Response>;
}

/** How `importFile` goes about it. */
export interface ImportOptions {
  /** Whether rows of this region (`unspecified` where there is none) are wanted. Default: all. */
  wanted?: (region: string) => boolean;
  /**
   * The user of the daemon's node who offers at the prices of a file, or who owns the listings of a file that name nobody. Default:
   * none; no listing is made from prices then. May throw for a kind of file.
   */
  seller?: (kind: ImportFile['kind']) => string | undefined;
  /** Called with the records of a kind that the daemon has answered so far; `total` is known for listings made of prices only. */
  onProgress?: (kind: 'price' | 'listing', done: number, total: number | undefined) => void;
  onRefused?: (row: RefusedRow) => void;
}

/** Sends what a file of prices or listings holds to the daemon. Running it again changes nothing. */
export async function importFile(
  { source, post }: ImportComponents,
  options: ImportOptions = {},
): Promise<ImportSummary> {
  const file = await openImportFile(source, systemEnv.offload);
  const seller = options.seller?.(file.kind);
  const run = new ImportRun(file.kind, post, options);
  return file.kind === 'prices' ? await run.prices(file.rows, seller) : await run.listings(file.rows(seller));
}

class ImportRun {
  readonly #post: ImportComponents['post'];
  readonly #options: ImportOptions;
  readonly #summary: ImportSummary;

  constructor(kind: ImportFile['kind'], post: ImportComponents['post'], options: ImportOptions) {
    this.#post = post;
    this.#options = options;
    this.#summary = {
      kind,
      prices: { created: 0, unchanged: 0 },
      listings: { created: 0, changed: 0, unchanged: 0 },
      refused: 0,
      skipped: 0,
    };
  }

  /** Each price, then, for a seller, the newest of each series as that seller's listing. In memory: one batch, and one price for each listing. */
  async prices(rows: AsyncIterable<WfpRow>, seller: string | undefined): Promise<ImportSummary> {
    const newest = new NewestPrices<number>();
    const prices = this.#batches('price', () => undefined);
    for await (const row of rows) {
      if ('error' in row) this.#refuse({ line: row.line, reason: row.error });
      else if (this.#isWanted(row.price.admin1)) {
        // Only what the daemon took can be the newest: a slip in a date must not keep the right price out.
        const onTaken = seller === undefined ? undefined : () => newest.add(row.price, row.line);
        await prices.add({ ...row.price }, row.line, onTaken);
      }
    }
    const { created, unchanged } = await prices.end();
    this.#summary.prices = { created, unchanged };
    if (seller === undefined) return this.#summary;
    const listings = this.#batches('listing', () => newest.size);
    for (const { listing, extra } of newest.listings(seller)) await listings.add({ ...listing }, extra);
    this.#summary.listings = await listings.end();
    return this.#summary;
  }

  async listings(rows: AsyncIterable<ListingRow>): Promise<ImportSummary> {
    const listings = this.#batches('listing', () => undefined);
    for await (const row of rows) {
      if ('error' in row) this.#refuse({ line: row.line, reason: row.error });
      else if (this.#isWanted(row.listing.region)) await listings.add({ ...row.listing }, row.line);
    }
    this.#summary.listings = await listings.end();
    return this.#summary;
  }

  #isWanted(region: string | undefined): boolean {
    const isWanted = this.#options.wanted?.(region ?? NO_REGION) ?? true;
    if (!isWanted) this.#summary.skipped += 1;
    return isWanted;
  }

  #refuse(row: RefusedRow): void {
    this.#summary.refused += 1;
    this.#options.onRefused?.(row);
  }

  #batches(kind: 'price' | 'listing', total: () => number | undefined): Batches {
    const onDone = (done: number): void => this.#options.onProgress?.(kind, done, total());
    return new Batches(kind, this.#post, (row) => this.#refuse(row), onDone);
  }
}

const totals = { created: z.number(), changed: z.number().default(0), unchanged: z.number() };
const refusal = z.object({ line: z.number(), error: z.string() });
/** One line of the daemon's answer: progress, the end with its totals, or what stopped it half-way. */
const answerLine = z.union([
  z.object({
    finished: z.literal(true),
    ...totals,
    refused: z.union([z.array(refusal), z.number()]).default([]),
  }),
  z.object({ done: z.number(), refused: z.union([z.array(refusal), z.number()]).default([]) }),
  z.object({ error: z.string(), code: z.string().default('unknown') }),
]);

interface Totals {
  created: number;
  changed: number;
  unchanged: number;
}

/** Records of one kind on their way to the daemon, in requests of bounded size. */
class Batches {
  readonly #kind: 'price' | 'listing';
  readonly #post: ImportComponents['post'];
  readonly #refuse: (row: RefusedRow) => void;
  readonly #onDone: (done: number) => void;
  readonly #totals: Totals = { created: 0, changed: 0, unchanged: 0 };
  #body = '';
  /** Of each line of the body its line in the file, and what follows once the daemon has taken it. */
  #rows: { line: number; onTaken: (() => void) | undefined }[] = [];
  #done = 0;

  constructor(
    kind: 'price' | 'listing',
    post: ImportComponents['post'],
    refuse: (row: RefusedRow) => void,
    onDone: (done: number) => void,
  ) {
    this.#kind = kind;
    this.#post = post;
    this.#refuse = refuse;
    this.#onDone = onDone;
  }

  async add(record: Record<string, unknown>, line: number, onTaken?: () => void): Promise<void> {
    this.#body += `${JSON.stringify({ kind: this.#kind, ...record })}\n`;
    this.#rows.push({ line, onTaken });
    if (this.#rows.length >= BATCH_ROWS) await this.#send();
  }

  async end(): Promise<Totals> {
    if (this.#rows.length > 0) await this.#send();
    return this.#totals;
  }

  async #send(): Promise<void> {
    const [body, rows] = [this.#body, this.#rows];
    [this.#body, this.#rows] = ['', []];
    const refused = new Map<number, string>();
    const response = await this.#post(body);
    if (!response.ok) throw await refusalOf(response);
    let finished = false;
    for await (const line of answer(response)) {
      if ('error' in line)
        throw new AgrinetError('request-refused', `the daemon stopped the import: ${line.error}`);
      // The refused rows may come with the progress, at the end, or both: each counts once.
      if (typeof line.refused !== 'number') for (const row of line.refused) refused.set(row.line, row.error);
      if ('finished' in line) {
        finished = true;
        this.#totals.created += line.created;
        this.#totals.changed += line.changed;
        this.#totals.unchanged += line.unchanged;
      } else {
        this.#onDone(this.#done + line.done);
      }
    }
    if (!finished) {
      const from = rows[0]?.line ?? 0;
      throw new AgrinetError(
        'request-refused',
        `the daemon closed the connection while importing the rows from line ${from}; run the import again, no row is imported twice`,
      );
    }
    this.#done += rows.length;
    this.#onDone(this.#done);
    for (const [line, error] of [...refused].sort(([a], [b]) => a - b)) {
      this.#refuse({ line: rows[line - 1]?.line ?? 0, reason: printable(error, 300) });
    }
    for (const [i, { onTaken }] of rows.entries()) if (!refused.has(i + 1)) onTaken?.();
  }
}

async function* answer(response: Response): AsyncGenerator<z.output<typeof answerLine>> {
  if (response.body === null) return;
  for await (const { text } of readLines(response.body, MAX_ANSWER_LINE)) {
    if (text.trim() === '') continue;
    const line = answerLine.safeParse(parsedJson(text));
    if (!line.success) {
      throw new AgrinetError('request-refused', 'the daemon sent an unexpected response to the import');
    }
    yield line.data;
  }
}

async function refusalOf(response: Response): Promise<AgrinetError> {
  const body = z.object({ error: z.string() }).safeParse(parsedJson(await response.text()));
  const reason = body.success ? printable(body.data.error, 300) : `status ${response.status}`;
  return new AgrinetError('request-refused', `the daemon refused the import: ${reason}`);
}
