import type { Offload } from '../env.ts';
import { AgrinetError } from '../errors.ts';
import { delimiterOf } from './csv-columns.ts';
import { CsvRecords } from './csv-records.ts';
import { textOf } from './file-text.ts';
import { readLines } from './lines.ts';
import { isListingHeader, LISTING_FILE_COLUMNS, type ListingRow, listingRows } from './listing-file.ts';
import { WFP_COLUMNS } from './wfp-columns.ts';
import { type WfpRow, wfpRows } from './wfp.ts';

/** An imported file, by the kind of its header. */
export type ImportFile =
  | { readonly kind: 'prices'; readonly rows: AsyncGenerator<WfpRow> }
  | {
      readonly kind: 'listings';
      /** The rows; listings without a user of their own are this one's. */
      rows(user: string | undefined): AsyncGenerator<ListingRow>;
    };

/** Reads the header. Throws `wfp.header` for a file that is not CSV; reading the rows throws for a header of neither kind. */
export async function openImportFile(
  source: AsyncIterable<Uint8Array | string>,
  offload: Pick<Offload, 'gunzip'>,
): Promise<ImportFile> {
  const records = new CsvRecords(readLines(textOf(source, offload)));
  const header = await records.header((line) => delimiterOf(line, [WFP_COLUMNS, LISTING_FILE_COLUMNS]));
  if (header === undefined) throw new AgrinetError('wfp.header', 'the file is empty');
  if ('error' in header) throw new AgrinetError('wfp.header', `not a CSV file: ${header.error}`);
  const { cells } = header;
  return isListingHeader(cells)
    ? { kind: 'listings', rows: (user) => listingRows(records, cells, user) }
    : { kind: 'prices', rows: wfpRows(records, cells) };
}
