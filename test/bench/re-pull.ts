import { startExchangeNode } from '../support/exchange-node.ts';
import { startLegacyNode } from '../support/legacy-node.ts';

/** A re-pull after one change, as signed entries and as whole exports. Times are medians, milliseconds. */
export interface RePull {
  readonly records: number;
  readonly entries: { readonly bytes: number; readonly ms: number };
  /** The old way with an old node: everything sent, parsed, checked and put again. */
  readonly legacy: { readonly bytes: number; readonly ms: number };
  /** The old way between the same two nodes, which exports the same records: GET /federation/export, POST /federation/import. */
  readonly exported: { readonly bytes: number; readonly ms: number };
}

const ROUNDS = 11;
/** Re-pulls of one change each for every export: the first one still pays for the garbage of the export before it. */
const PER_ROUND = 5;
/** Not counted, of either way: two nodes that have been running for a while are compared, not two that have just been compiled. */
const WARM_UP = 5;

/** Both side by side on this machine, over loopback HTTP. */
export async function benchRePull(records: number): Promise<RePull> {
  const old = await startLegacyNode(records, { etag: false });
  const source = await startExchangeNode();
  const puller = await startExchangeNode();
  source.befriend(puller);
  puller.befriend(source);
  const id: `legacy:${string}` = `legacy:${old.origin}`;
  puller.httpNodes.push({ id, origin: old.origin, status: 'active' });
  try {
    for (let at = 0; at < records; at += 1000) {
      const batch = old.tables.listings.slice(at, at + 1000);
      await Promise.all(
        batch.map(({ id: _id, createdAt: _created, updatedAt: _updated, ...fields }) =>
          source.ledgerNode.catalogue.createListing(fields),
        ),
      );
    }
    await puller.sync(source.identity.peerId);
    await puller.sync(id);
    const keys = [...(await source.ledgerNode.views()).keys()];
    const entries: { bytes: number; ms: number }[] = [];
    const legacy: { bytes: number; ms: number }[] = [];
    const exported: { bytes: number; ms: number }[] = [];
    for (let round = 0; round < WARM_UP + ROUNDS; round++) {
      Object.assign(old.tables.listings[round] ?? {}, { price: round, updatedAt: new Date().toISOString() });
      for (let again = 0; again < PER_ROUND; again++) {
        const key = keys[round * PER_ROUND + again];
        if (key === undefined) throw new Error('too few records');
        await source.ledgerNode.catalogue.patch(key, { price: round });
        const mark = source.sent();
        const began = performance.now();
        const { received } = await puller.sync(source.identity.peerId);
        const ms = performance.now() - began;
        if (received !== 1) throw new Error(`${received} entries instead of one`);
        entries.push({ bytes: source.sent() - mark, ms });
      }
      const sent = old.sent();
      const from = performance.now();
      await puller.sync(id, { force: true });
      legacy.push({ bytes: old.sent() - sent, ms: performance.now() - from });
      const sentAll = source.sent();
      const start = performance.now();
      const answer = await source.fetch('/federation/export');
      const taken = await puller.fetch('/federation/import?force=true', {
        method: 'POST',
        scopes: ['read', 'operator'],
        body: await answer.text(),
      });
      const { imported } = (await taken.json()) as { imported: number };
      if (imported !== records) throw new Error(`${imported} imported`);
      exported.push({ bytes: source.sent() - sentAll, ms: performance.now() - start });
    }
    return {
      records,
      entries: median(entries.slice(WARM_UP * PER_ROUND)),
      legacy: median(legacy.slice(WARM_UP)),
      exported: median(exported.slice(WARM_UP)),
    };
  } finally {
    await Promise.all([source.stop(), puller.stop(), old.stop()]);
  }
}

function median(runs: readonly { bytes: number; ms: number }[]): { bytes: number; ms: number } {
  const middle = (values: number[]): number =>
    values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
  return { bytes: middle(runs.map(({ bytes }) => bytes)), ms: middle(runs.map(({ ms }) => ms)) };
}

if (import.meta.main) {
  const found = await benchRePull(Number(process.env['COUNT'] ?? 12_000));
  const { entries } = found;
  const line = (name: string, { bytes, ms }: { bytes: number; ms: number }): string =>
    `  ${name.padEnd(34)}${String(bytes).padStart(9)} bytes ${ms.toFixed(1).padStart(8)} ms` +
    `   x ${(bytes / entries.bytes).toFixed(0)} bytes, x ${(ms / entries.ms).toFixed(0)} time`;
  console.log(`a re-pull after one change in ${found.records} records`);
  console.log(line('signed entries over HTTP', entries));
  console.log(line('export of an old node, imported', found.legacy));
  console.log(line('export of the same node, imported', found.exported));
}
