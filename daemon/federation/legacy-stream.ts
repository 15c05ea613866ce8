import { createHash } from 'node:crypto';
import { jsonParser } from 'stream-json/core/parser.js';
import { type Env, pause } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import type { Json } from '../../protocols/wire/json.ts';
import { LEGACY_LIMITS } from '../../protocols/market/legacy.ts';

/** The fields of an export besides its items. */
export interface ExportSummary {
  readonly count: number;
  /** SHA-256 over each item's JSON and a line feed, in order, hex. */
  readonly sha256: string;
  /** As the export claims them, when it does. */
  readonly claimedCount: number | undefined;
  readonly claimedSha256: string | undefined;
  readonly schemaVersion: number | undefined;
}

/** One item: its value, or why it cannot be read. */
export interface ExportItem {
  readonly section: string;
  /** Place in its section, from 0. */
  readonly index: number;
  readonly value: Json | undefined;
  readonly problem?: string;
}

type Token = ReturnType<typeof tokensOf>[number];

function tokensOf(parse: ReturnType<typeof jsonParser>, text: string) {
  const out = parse(text);
  return typeof out === 'object' && 'values' in out ? out.values : [];
}

const malformed = (why: string, cause?: unknown): AgrinetError =>
  new AgrinetError('export-malformed', `the export ${why}`, { cause });

/**
 * Reads an export `{section: [item, …], field: scalar, …}` as a stream: no more than one item is in memory, and an item that is too
 * large or nested too deep is skipped. Throws `export-malformed` for any other body.
 */
export async function* readExport(
  body: AsyncIterable<Uint8Array>,
  env: Pick<Env, 'after'>,
): AsyncGenerator<ExportItem, ExportSummary> {
  // Values come in pieces: a text of the size of the whole body would otherwise be gathered before it can be refused.
  const parse = jsonParser({ packValues: false, streamValues: true });
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const reader = new ExportReader();
  let seen = 0;
  for await (const chunk of body) {
    for (let at = 0; at < chunk.length; at += PIECE) {
      let tokens: readonly Token[];
      try {
        tokens = tokensOf(parse, decoder.decode(chunk.subarray(at, at + PIECE), { stream: true }));
      } catch (error) {
        throw malformed('is not JSON', error);
      }
      seen += tokens.length;
      if (seen > MOST_TOKENS) throw malformed('contains more values than any market has');
      // A body of tiny values costs most: other work waits only for one piece of it.
      if (at > 0) await pause(env, 0);
      for (const token of tokens) {
        const item = reader.take(token);
        if (item !== undefined) yield item;
      }
    }
  }
  return reader.summary();
}

/** Up to 2,048 values and 6,144 tokens: some 15 ms on a small server. */
const PIECE = 4 * 1024;
/** Items, and tokens of all of them: a hundred thousand records are far below, and a body full of `1,` costs minutes. */
const MOST_ITEMS = 1_000_000;
const MOST_TOKENS = 32_000_000;

/** A value that is being put together. */
class Builder {
  readonly #stack: (Json[] | Record<string, Json>)[] = [];
  readonly #keys: string[] = [];
  #text = '';
  #size = 0;
  depth = 0;
  problem: string | undefined;
  value: Json | undefined;
  done = false;

  take(token: Token): void {
    switch (token.name) {
      case 'startObject':
        return this.#open(Object.create(null) as Record<string, Json>);
      case 'startArray':
        return this.#open([]);
      case 'endObject':
      case 'endArray':
        return this.#close();
      case 'startKey':
        this.#text = '';
        return;
      case 'endKey':
        this.#keys[this.depth] = this.#text;
        return;
      case 'startString':
      case 'startNumber':
        this.#text = '';
        return;
      case 'stringChunk':
      case 'numberChunk':
        this.#size += token.value.length;
        if (this.#size > LEGACY_LIMITS.itemCharacters) this.problem ??= TOO_LARGE;
        else this.#text += token.value;
        return;
      case 'endString':
        return this.#put(this.#text);
      case 'endNumber':
        return this.#put(Number(this.#text));
      case 'nullValue':
      case 'trueValue':
      case 'falseValue':
        return this.#put(token.value);
      case 'keyValue':
      case 'stringValue':
      case 'numberValue':
      case 'whitespace':
        return; // not asked for
    }
  }

  #open(container: Json[] | Record<string, Json>): void {
    this.depth++;
    if (this.depth > LEGACY_LIMITS.depth) this.problem ??= `nested deeper than ${LEGACY_LIMITS.depth}`;
    // The parser keeps the nesting too: no item is nested so deep, and a body of brackets must not fill the memory.
    if (this.depth > ABSURD_DEPTH) throw malformed('is nested too deeply');
    if (this.problem === undefined) {
      this.#put(container);
      this.#stack.push(container);
    }
    this.done = false;
  }

  #close(): void {
    this.depth--;
    if (this.problem === undefined) this.#stack.pop();
    this.done = this.depth === 0;
  }

  #put(value: Json): void {
    this.#size += 8;
    if (this.#size > LEGACY_LIMITS.itemCharacters) this.problem ??= TOO_LARGE;
    this.done = this.depth === 0;
    if (this.problem !== undefined) return;
    const parent = this.#stack.at(-1);
    if (parent === undefined) this.value = value;
    else if (Array.isArray(parent)) parent.push(value);
    else parent[this.#keys[this.depth - (typeof value === 'object' && value !== null ? 1 : 0)] ?? ''] = value;
  }
}

const TOO_LARGE = `larger than ${LEGACY_LIMITS.itemCharacters / 1024} KiB`;
const ABSURD_DEPTH = 256;

class ExportReader {
  readonly #hash = createHash('sha256');
  readonly #scalars = new Map<string, Json>();
  #count = 0;
  #state: 'start' | 'sections' | 'items' | 'end' = 'start';
  #section = '';
  #index = 0;
  #key = '';
  #builder: Builder | undefined;

  take(token: Token): ExportItem | undefined {
    if (this.#builder !== undefined) return this.#go(this.#builder, token);
    switch (this.#state) {
      case 'start':
        if (token.name !== 'startObject') throw malformed('is not a JSON object');
        this.#state = 'sections';
        return undefined;
      case 'sections':
        return this.#between(token);
      case 'items':
        if (token.name === 'endArray') {
          this.#state = 'sections';
          return undefined;
        }
        return this.#go((this.#builder = new Builder()), token);
      case 'end':
        throw malformed('has data after its end');
    }
  }

  #between(token: Token): ExportItem | undefined {
    if (token.name === 'startKey') this.#key = '';
    else if (token.name === 'stringChunk') this.#key = (this.#key + token.value).slice(0, 64);
    else if (token.name === 'endObject') this.#state = 'end';
    else if (token.name === 'startArray') {
      this.#state = 'items';
      this.#section = this.#key;
      this.#index = 0;
    } else if (token.name !== 'endKey') return this.#go((this.#builder = new Builder()), token);
    return undefined;
  }

  #go(builder: Builder, token: Token): ExportItem | undefined {
    builder.take(token);
    if (!builder.done) return undefined;
    this.#builder = undefined;
    const { value, problem } = builder;
    if (this.#state !== 'items') {
      if (this.#scalars.size < 64 && value !== undefined && problem === undefined)
        this.#scalars.set(this.#key, value);
      return undefined;
    }
    if (++this.#count > MOST_ITEMS) throw malformed(`contains more than ${MOST_ITEMS} items`);
    const place = { section: this.#section, index: this.#index++ };
    if (problem !== undefined || value === undefined)
      return { ...place, value: undefined, problem: problem ?? 'empty' };
    this.#hash.update(`${JSON.stringify(value)}\n`);
    return { ...place, value };
  }

  summary(): ExportSummary {
    if (this.#state !== 'end') throw malformed('is truncated');
    const number = (name: string): number | undefined => {
      const value = this.#scalars.get(name);
      return typeof value === 'number' ? value : undefined;
    };
    const claimed = this.#scalars.get('sha256');
    return {
      count: this.#count,
      sha256: this.#hash.digest('hex'),
      claimedCount: number('count'),
      claimedSha256: typeof claimed === 'string' ? claimed : undefined,
      schemaVersion: number('schemaVersion'),
    };
  }
}
