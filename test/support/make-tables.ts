/** Writes the generated tables into the READMEs, and systemd/agrinetd.env: `node test/support/make-tables.ts`. */
import { writeFileSync } from 'node:fs';
import { settingsExample } from '../../daemon/settings.ts';
import { writeTables } from './tables.ts';

await writeTables();
writeFileSync(new URL('../../systemd/agrinetd.env', import.meta.url), settingsExample());
