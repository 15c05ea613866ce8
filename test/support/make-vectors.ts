/** Writes `protocols/vectors.json`: `node test/support/make-vectors.ts`. Old vectors must never change. */
import { writeFileSync } from 'node:fs';
import { vectorsText } from './vectors/all.ts';

writeFileSync(new URL('../../protocols/vectors.json', import.meta.url), vectorsText());
