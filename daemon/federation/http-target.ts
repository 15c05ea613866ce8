import { byteStream } from '../../api/byte-stream.ts';
import type { SyncSource } from '../../api/ports/exchange.ts';
import type { Env } from '../../protocols/env.ts';
import { isErrorCode } from '../../protocols/error-codes.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { encodePage, type FrontierPage } from '../../protocols/mycelium/frontier-page.ts';
import { FRONTIER_SEQUENCE, sequenceItem } from '../../protocols/mycelium/frontier-sequence.ts';
import { ITEM_SEQUENCE } from '../../protocols/mycelium/item-sequence.ts';
import { encodeItem } from '../../protocols/mycelium/range-item.ts';
import { readAsked } from '../../protocols/mycelium/shown-feeds.ts';
import { concat } from '../../protocols/wire/bytes.ts';
import { parsePeerId } from '../../protocols/wire/identity.ts';
import type { SyncTarget } from './sync-parts.ts';

/** One answer of the daemon; an import of a whole export takes longest. */
const ANSWER_MS = 5 * 60_000;

/**
 * The daemon behind its API as the target of a sync, for workers in other processes; the key needs the scope `worker`. Throws what
 * the daemon refuses with, and `daemon-unreachable`.
 */
export function createHttpTarget(baseUrl: string, key: string, env: Pick<Env, 'deadline'>): SyncTarget {
  const base = baseUrl.replace(/\/+$/, '');

  async function call(
    path: string,
    init: RequestInit,
    contentType?: string,
  ): Promise<Record<string, unknown>> {
    let response: Response;
    let text: string;
    try {
      response = await fetch(`${base}${path}`, {
        ...init,
        headers: { 'x-api-key': key, ...(contentType === undefined ? {} : { 'content-type': contentType }) },
        signal: init.signal ?? env.deadline(ANSWER_MS),
      });
      text = await response.text();
    } catch (error) {
      throw new AgrinetError('daemon-unreachable', `no answer from the daemon at ${base}`, { cause: error });
    }
    const value = jsonOf(text);
    if (response.ok) return value;
    const { code, error } = value;
    throw new AgrinetError(
      typeof code === 'string' && isErrorCode(code) ? code : 'daemon-refused',
      typeof error === 'string' ? error : `the daemon answered with status ${response.status}`,
    );
  }

  const post = (path: string, body: unknown): Promise<Record<string, unknown>> =>
    call(path, { method: 'POST', body: JSON.stringify(body) }, 'application/json');
  const textOf = (value: unknown): string => {
    if (typeof value === 'string') return value;
    throw new AgrinetError(
      'daemon-refused',
      'the daemon’s answer is not what this worker knows: same version?',
    );
  };
  const numberOf = (value: unknown): number => (typeof value === 'number' ? value : 0);

  return {
    async source(id) {
      const { source } = await call(`/federation/source?${new URLSearchParams({ id }).toString()}`, {});
      return source === null || source === undefined ? undefined : sourceOf(source);
    },
    async plan(id, pages) {
      const query = new URLSearchParams({ source: id }).toString();
      const body = byteStream(sequenceOf(pages));
      const init = { method: 'POST', body, duplex: 'half' };
      const { requests } = await call(`/federation/plan?${query}`, init, FRONTIER_SEQUENCE);
      return Array.isArray(requests) ? requests.map(readAsked) : [];
    },
    async receive(id, { author, channel }, items) {
      const query = new URLSearchParams({ source: id, author, channel }).toString();
      const body = Buffer.from(concat(items.map(encodeItem)));
      const taken = await call(`/federation/entries?${query}`, { method: 'POST', body }, ITEM_SEQUENCE);
      const { accepted, known, ignored } = taken;
      return {
        accepted: numberOf(accepted),
        known: numberOf(known),
        ignored: numberOf(ignored),
        reasons: {},
      };
    },
    async importLegacy(id, body, { force, signal }) {
      const query = new URLSearchParams({ source: id, force: String(force) }).toString();
      const init = {
        method: 'POST',
        body: byteStream(bytesOf(body)),
        duplex: 'half',
        signal: AbortSignal.any([signal, env.deadline(ANSWER_MS)]),
      };
      const totals = await call(`/federation/import?${query}`, init, 'application/json');
      return {
        imported: numberOf(totals['imported']),
        unchanged: numberOf(totals['unchanged']),
        refusedCount: numberOf(totals['refusedCount']),
        refused: [],
      };
    },
    signRequest: async (id, method, path) =>
      textOf((await post('/federation/requests', { source: id, method, path }))['header']),
    renewCertificate: async (id) =>
      textOf((await post('/federation/certificates', { source: id }))['tlsFingerprint']),
    async noteSync(id, outcome) {
      const { error, ...counts } = outcome;
      const told = error === undefined ? counts : { ...counts, error: { code: error.code } };
      await post('/federation/synced', { source: id, outcome: told });
    },
  };
}

/** Pages as they come, handed on; the digest at the end is of no use to who plans. */
async function* sequenceOf(pages: AsyncIterable<FrontierPage>): AsyncGenerator<Uint8Array> {
  for await (const { groups, knows } of pages) yield sequenceItem(encodePage(groups, knows));
  yield sequenceItem(new Uint8Array(32));
}

async function* bytesOf(body: { read(): AsyncIterable<Uint8Array> }): AsyncGenerator<Uint8Array> {
  yield* body.read();
}

function jsonOf(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {}; // a proxy's own page; the status says what happened
  }
}

function sourceOf(value: object): SyncSource {
  const { kind, id, url, tlsFingerprint, etag, key } = value as Record<string, unknown>;
  const peer = parsePeerId(id);
  const remembered = typeof etag === 'string' ? { etag } : {};
  if (kind === 'agrinetd' && peer !== undefined && typeof url === 'string')
    return {
      kind,
      id: peer,
      url,
      tlsFingerprint: typeof tlsFingerprint === 'string' ? tlsFingerprint : '',
      ...remembered,
    };
  if (kind === 'legacy' && typeof id === 'string' && typeof url === 'string')
    return {
      kind,
      id: `legacy:${id.replace(/^legacy:/, '')}`,
      url,
      ...remembered,
      ...(typeof key === 'string' ? { key } : {}),
    };
  throw new AgrinetError('daemon-refused', 'the daemon names a kind of node that this worker does not know');
}
