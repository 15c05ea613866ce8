import { createHash } from 'node:crypto';
import type { Env } from '../protocols/env.ts';
import { nodeOf } from '../protocols/market/party.ts';
import { isLive, type RecordState } from '../protocols/open-dialog/record.ts';
import { SCHEMA_VERSION } from '../protocols/open-dialog/schema.ts';
import { isOfOneRecord, type Unread } from '../protocols/unread.ts';
import { percentKept } from '../protocols/market/reputation.ts';
import { parseRecordKey, publicIdOf } from '../protocols/wire/ids.ts';
import { isoTime } from '../protocols/wire/iso-time.ts';
import type { ApiContext } from './context.ts';
import type { LeftOut, Shown } from './left-out.ts';
import type { ChangePosition, ExchangePort } from './ports/exchange.ts';
import type { TrustPort } from './ports/trust.ts';
import { contractRecordJson, recordJson } from './records.ts';

/**
 * Sections of records, with the id field that clients know. Users are those who have been rated; transactions stay with their
 * parties.
 */
const SECTIONS = [
  ['listings', 'listingId'],
  ['contracts', 'contractId'],
  ['trends', 'trendId'],
] as const;

/** All sections, in the order of the export. */
const NAMES = [...SECTIONS.map(([name]) => name), 'transactions', 'users'] as const;
type Name = (typeof NAMES)[number];

/** Characters gathered for one write to the socket. */
const GATHER = 48 * 1024;

/** The scope of one export. */
export interface ExportExtent {
  /** Only what changed after this; undefined for all there is. */
  readonly from: number | undefined;
  readonly end: ChangePosition;
  readonly owner: 'self' | 'all';
  /** Records that could not be shown. */
  readonly shown: Shown;
}

export interface ExportComponents extends Pick<ApiContext, 'self' | 'reader'> {
  /** Where old clients find attachments: an export leaves this node. */
  readonly limits: Pick<ApiContext['limits'], 'publicUrl'>;
  readonly env: Pick<Env, 'now'>;
  readonly exchange: Pick<ExchangePort, 'changes'>;
  readonly trust: Pick<TrustPort, 'rated' | 'kept'>;
}

/** The public catalogue as text, item by item, with bounded memory. */
export class CatalogueExport {
  readonly #node: ExportComponents;

  constructor(node: ExportComponents) {
    this.#node = node;
  }

  /** One JSON body. */
  async *json(extent: ExportExtent): AsyncGenerator<string> {
    const totals = new Totals();
    let text = JSON.stringify(this.#head(extent)).slice(0, -1);
    for (const name of NAMES) {
      text += `,"${name}":[`;
      let separator = '';
      for await (const item of this.#items(name, extent)) {
        const json = JSON.stringify(item);
        totals.add(`${json}\n`);
        text += separator + json;
        separator = ',';
        if (text.length < GATHER) continue;
        yield text;
        text = '';
      }
      text += ']';
    }
    yield `${text},${JSON.stringify(totals.end(extent)).slice(1)}`;
  }

  /** NDJSON. */
  async *lines(extent: ExportExtent): AsyncGenerator<string> {
    const totals = new Totals();
    let text = `${JSON.stringify({ kind: 'header', ...this.#head(extent) })}\n`;
    for (const name of NAMES) {
      for await (const item of this.#items(name, extent)) {
        const line = `${JSON.stringify({ kind: name, ...item })}\n`;
        totals.add(line);
        text += line;
        if (text.length < GATHER) continue;
        yield text;
        text = '';
      }
    }
    yield `${text}${JSON.stringify({ kind: 'end', ...totals.end(extent) })}\n`;
  }

  #head({ from }: ExportExtent): Record<string, string | number | boolean> {
    const { self, env } = this.#node;
    return {
      schemaVersion: SCHEMA_VERSION,
      node: self,
      generatedAt: isoTime(env.now()),
      full: from === undefined,
    };
  }

  async *#items(name: Name, extent: ExportExtent): AsyncGenerator<object> {
    const section = SECTIONS.find(([collection]) => collection === name);
    if (section !== undefined) yield* this.#records(section, extent);
    else if (name === 'users') yield* this.#users(extent);
  }

  /** Records of one section: live ones, and in an incremental export also ended ones. */
  async *#records(
    [collection, idField]: (typeof SECTIONS)[number],
    { from, owner, shown }: ExportExtent,
  ): AsyncGenerator<object> {
    const { self, reader, exchange, limits } = this.#node;
    const start = `${collection}/${owner === 'self' ? `${self}/` : ''}`;
    const missed = (unread: Unread): void => {
      if (unread.key.startsWith(start)) shown.missed([unread]);
    };
    const states = from === undefined ? reader.all(collection, missed) : exchange.changes.since(from, missed);
    for await (const state of states) {
      if (state.channel !== 'public' || !state.key.startsWith(start)) continue;
      const item = shown.one(state.key, () =>
        isLive(state)
          ? live(state, idField, limits.publicUrl)
          : from === undefined
            ? undefined
            : ended(state, idField),
      );
      if (item !== undefined) yield item;
    }
  }

  /** Users rated, or whose ratings were annotated, since then: with their current share of trades without a breach. */
  async *#users({ from, owner }: ExportExtent): AsyncGenerator<object> {
    const { self, env, trust } = this.#node;
    const some = from === undefined ? undefined : await this.#ratedSince(from);
    const now = env.now();
    for (const { subject, at } of await trust.rated()) {
      const of = nodeOf(subject) ?? '';
      if ((owner === 'self' && of !== self) || some?.has(subject) === false) continue;
      let reputationScore;
      try {
        reputationScore = percentKept(await trust.kept(subject));
      } catch (error) {
        // One of its ratings cannot be read, which is reported there.
        if (!isOfOneRecord(error)) throw error;
        continue;
      }
      yield {
        id: subject,
        owner: of,
        role: 'user',
        reputationScore,
        updatedAt: isoTime(Math.min(at, now)),
      };
    }
  }

  async #ratedSince(from: number): Promise<Set<unknown>> {
    const { exchange } = this.#node;
    const rated = new Set<unknown>();
    for await (const { key, view } of exchange.changes.since(from)) {
      if (key.startsWith('ratings/') || key.startsWith('rating-notes/')) rated.add(view['to']);
    }
    return rated;
  }
}

/** The end of an export. */
class Totals {
  readonly #hash = createHash('sha256');
  #count = 0;

  add(text: string): void {
    this.#hash.update(text);
    this.#count++;
  }

  end({ end, shown }: ExportExtent): object {
    const leftOut: LeftOut[] = shown.leftOut(false); // it was streamed by now
    return {
      count: this.#count,
      sha256: this.#hash.digest('hex'),
      cursor: `${end.generation}.${end.change.toString(36)}`,
      ...(leftOut.length === 0 ? {} : { leftOut }),
    };
  }
}

function live(state: RecordState, idField: string, base: string | undefined): object {
  if (idField === 'contractId') return contractRecordJson(state);
  const json = recordJson(state, base);
  json[idField] = json.id;
  return json;
}

function ended({ key }: RecordState, idField: string): object {
  const id = publicIdOf(key);
  return { id, [idField]: id, owner: parseRecordKey(key)?.owner ?? '', deleted: true };
}
