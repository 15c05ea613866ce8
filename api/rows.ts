import { AgrinetError, errorMessage } from '../protocols/errors.ts';
import { readLines } from '../protocols/market/lines.ts';
import type { Saved } from '../protocols/market/catalogue.ts';
import type { TurnEnv } from '../protocols/cpu-slice.ts';
import { CpuTurn } from '../protocols/wire/cpu-turn.ts';
import { isDeeper } from '../protocols/wire/json-depth.ts';
import { errorAnswer } from './errors.ts';
import { BODY_LIMITS } from './limits/body.ts';

/** The outcome so far for the rows of one request. */
export interface RowTotals {
  done: number;
  created: number;
  changed: number;
  unchanged: number;
  /** Every refused row by its line, counted from 1; the first thousand are listed. */
  refused: { line: number; error: string }[];
  refusedCount: number;
}

/** Rows written at once: enough for full entries, few enough to stay small. */
const IN_FLIGHT = 1024;
const LISTED = 1000;

/**
 * Writes the rows of an NDJSON stream as they come, with bounded memory; a bad row is reported with its line and the rest goes
 * in. A full disk or a stopping node ends the whole: the rest would fail the same way.
 */
export async function takeRows(
  env: TurnEnv,
  body: AsyncIterable<Uint8Array> | null,
  write: (row: Record<string, unknown>) => Promise<Saved>,
  onProgress?: (totals: RowTotals) => void,
): Promise<RowTotals> {
  const totals: RowTotals = { done: 0, created: 0, changed: 0, unchanged: 0, refused: [], refusedCount: 0 };
  const under = new Set<Promise<void>>();
  const turn = new CpuTurn(env);
  let fatal: unknown;
  const refuse = (line: number, error: string): void => {
    totals.refusedCount++;
    if (totals.refused.length < LISTED) totals.refused.push({ line, error });
  };
  const { maxDepth } = BODY_LIMITS;
  async function one(line: number, text: string): Promise<void> {
    try {
      if (isDeeper(text, maxDepth))
        throw new AgrinetError('body-too-deep', `the line is nested more than ${maxDepth} levels deep`);
      const { created, changed } = await write(jsonObject(text));
      if (created) totals.created++;
      else if (changed) totals.changed++;
      else totals.unchanged++;
    } catch (error) {
      if (errorAnswer(error).status >= 500) fatal ??= error;
      else refuse(line, errorMessage(error));
    }
    totals.done++;
  }
  if (body === null) throw new AgrinetError('body-malformed', 'the request has no body');
  for await (const { line, text, tooLong, isUtf8 } of readLines(body)) {
    if (fatal !== undefined) break;
    // A chunk of the body is hundreds of rows, each to be parsed, checked and drafted; or tens of thousands of empty ones.
    await turn.pause();
    if (tooLong || !isUtf8) {
      refuse(line, tooLong ? 'the line is too long' : 'the line is not UTF-8; send it as UTF-8');
      continue;
    }
    if (text.trim() === '') continue;
    const task = one(line, text).finally(() => under.delete(task));
    under.add(task);
    if (under.size >= IN_FLIGHT) {
      await Promise.all([...under].slice(0, IN_FLIGHT / 2));
      onProgress?.(totals);
    }
  }
  await Promise.all(under);
  if (fatal !== undefined) throw fatal;
  return totals;
}

/** Reads one JSON object. Throws `body-malformed`. */
export function jsonObject(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new AgrinetError('body-malformed', 'the body is not JSON', { cause: error });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new AgrinetError('body-malformed', 'the body must be a JSON object');
  return value as Record<string, unknown>;
}
