/** Writes the generated tables into protocols/README.md and storage/README.md: `node test/support/make-tables.ts`. */
import { writeTables } from './tables.ts';

writeTables();
