import { createLegacyImporter } from '../../../../daemon/federation/legacy-import.ts';
import { pullFeeds } from '../../../../daemon/federation/https-pull.ts';
import { PULL_LIMITS } from '../../../../daemon/federation/https-transport.ts';
import { pullExport } from '../../../../daemon/federation/legacy-pull.ts';
import { encodePage } from '../../../../protocols/mycelium/frontier-page.ts';
import { FRONTIER_SEQUENCE_LIMITS, sequenceItem } from '../../../../protocols/mycelium/frontier-sequence.ts';
import { encodeItem } from '../../../../protocols/mycelium/range-item.ts';
import { FRAME_LIMITS } from '../../../../protocols/mycelium/range-frame.ts';
import { legacyRow } from '../../../../protocols/market/legacy.ts';
import { recordKey } from '../../../../protocols/wire/ids.ts';
import { nodeOf } from '../../../support/vectors/signatures.ts';
import { concat } from '../../../../protocols/wire/bytes.ts';
import { LIMITS } from '../../../../protocols/wire/limits.ts';
import { systemEnv } from '../../../../daemon/system-env.ts';
import type { ServerResponse } from 'node:http';
import { watchEnd } from '../../../support/hand-clock.ts';
import { waitFor } from '../../../support/wait.ts';
import type { Bench } from './bench.ts';
import type { BoundaryCase, CasesOf } from './case.ts';
import { SourceBench } from './source-bench.ts';
import { NO_DIGEST, pageOf } from './wire-cases.ts';

const isFrontier = (path: string): boolean => path === '/federation/feeds';
/** One piece of a range: what is gathered, so that it is taken in as soon as it has come. */
const piece = (): Uint8Array =>
  encodeItem({ kind: 'entry', bytes: new Uint8Array(FRAME_LIMITS.gatherBytes) });

/** So many pieces of what is known are enough for a slice of a pull. */
const MANY = 5;

/** A page that is no trickle for the whole time of a frontier. */
const PAGE = sequenceItem(
  encodePage(
    Array.from({ length: 300 }, (_, i) => ({
      author: nodeOf(1).peerId,
      channel: recordKey('conversations', nodeOf(1).peerId, String(i)),
      digest: '',
      items: [{ epoch: '00'.repeat(8), seq: 1, hash: '11'.repeat(32) }],
    })),
  ),
);

/**
 * A pull of a source whose answer to one question never ends: after so long how it stands. Until then something comes before the silence is too
 * long, and once more at the end.
 */
async function trickled(
  question: 'frontier' | 'range',
  ms: number,
  { accepted = 1 }: { accepted?: number } = {},
): Promise<unknown> {
  let out: ServerResponse | undefined;
  return SourceBench.with(
    (response, { url = '' }) => {
      if (isFrontier(url) && question === 'range') response.end(NO_DIGEST);
      else (out = response).flushHeaders();
    },
    async (bench) => {
      const end = watchEnd(pullFeeds(bench.parts, bench.source, false, bench.run));
      const stream = await waitFor('the question', () => out);
      const more = async (): Promise<void> => {
        const before = bench.received;
        const pieces = accepted === 0 ? MANY : 1;
        for (let i = 0; i < pieces; i++) stream.write(question === 'range' ? piece() : PAGE);
        await waitFor('it to be taken in', () => bench.received >= before + pieces || end() !== 'goes on');
      };
      let left = ms;
      for (const step = PULL_LIMITS.idleMs - 1; left > step; left -= step) {
        await bench.clock.pass(step);
        await more();
      }
      await bench.clock.pass(left);
      if (accepted === 0) await more();
      return end();
    },
    { ranges: question === 'range' ? 1 : 0, accepted },
  );
}

/** A pull whose source says that its answer has so many bytes, and then sends none of them. */
function declared(question: 'frontier' | 'range'): BoundaryCase {
  return {
    over: 'HTTP',
    send: (_, n) =>
      SourceBench.with(
        (response, { url = '' }) => {
          if (isFrontier(url) && question === 'range') response.end(NO_DIGEST);
          else {
            response.writeHead(200, { 'content-length': n }).flushHeaders();
            setImmediate(() => response.destroy());
          }
        },
        (bench) => settled(pullFeeds(bench.parts, bench.source, false, bench.run)),
        { ranges: question === 'range' ? 1 : 0 },
      ),
    // What is taken breaks off.
    gives: ['peer-unreachable', 'peer-unreachable', 'answer-too-large'],
  };
}

async function settled(work: Promise<unknown>): Promise<unknown> {
  const end = watchEnd(work);
  await work.catch(() => undefined); // its end is what is told
  return end();
}

/** A range of so many entries: how many were taken in at once. */
const piecesOf = (entries: number): Promise<readonly number[]> =>
  SourceBench.with(
    (response, { url = '' }) => {
      const item = encodeItem({ kind: 'entry', bytes: new Uint8Array(1) });
      response.end(isFrontier(url) ? NO_DIGEST : concat(Array.from({ length: entries }, () => item)));
    },
    async (bench) => {
      await pullFeeds(bench.parts, bench.source, false, bench.run);
      return bench.pieces;
    },
    { ranges: 1 },
  );

/** A frontier of so many bytes, as full as pages can be. */
function frontierOf(bench: Bench, bytes: number): Uint8Array {
  const full = sequenceItem(pageOf(bench, LIMITS.frontierBytes));
  const others = Array.from({ length: FRONTIER_SEQUENCE_LIMITS.sequencePages - 1 }, () => full);
  const left = bytes - others.length * full.length - NO_DIGEST.length;
  // The head of a byte string has three bytes below 64 KiB and five from there on.
  const last = left < full.length ? left - 3 : left - 5;
  return last > LIMITS.frontierBytes
    ? concat([...others, full, NO_DIGEST, new Uint8Array(last - LIMITS.frontierBytes)])
    : concat([...others, sequenceItem(pageOf(bench, last)), NO_DIGEST]);
}

/** A pull of a source that shows this and has nothing more. */
const shownBy = (bench: Bench, n: number): Promise<unknown> =>
  SourceBench.with(
    (response) => void response.end(frontierOf(bench, n)),
    (source) => settled(pullFeeds(source.parts, source.source, false, source.run).then(() => 'taken')),
  );

const UNTIL = ['goes on', 'peer-timeout', 'peer-timeout'] as const;

export const FRONTIER_SEQUENCE_BYTES: BoundaryCase = {
  over: 'HTTP',
  // One byte less cannot be: a shorter byte string has a head that is two bytes shorter.
  sizes: [
    FRONTIER_SEQUENCE_LIMITS.sequenceBytes - 3,
    FRONTIER_SEQUENCE_LIMITS.sequenceBytes,
    FRONTIER_SEQUENCE_LIMITS.sequenceBytes + 1,
  ],
  send: shownBy,
  gives: ['taken', 'taken', 'answer-too-large'],
};

export const PULL_CASES = {
  frontierBytes: declared('frontier'),
  frontierMs: { over: 'clock', send: (_, ms) => trickled('frontier', ms), gives: UNTIL },
  rangeBytes: declared('range'),
  rangeMs: { over: 'clock', send: (_, ms) => trickled('range', ms), gives: UNTIL },
  uselessMs: {
    over: 'clock',
    send: (_, ms) => trickled('range', ms, { accepted: 0 }),
    gives: ['goes on', 'goes on', 'pull-slow'],
  },
  idleMs: {
    over: 'clock',
    send: (_, ms) =>
      SourceBench.with(
        () => undefined,
        (bench) => bench.after(ms, pullFeeds(bench.parts, bench.source, false, bench.run)),
      ),
    gives: UNTIL,
  },
  batchItems: { over: 'HTTP', send: (_, n) => piecesOf(n), gives: [[1023], [1024], [1024, 1]] },
} as const satisfies Partial<CasesOf<'daemon/federation/https-transport.ts'>>;

/** An export of so many listings, imported: pieces that were written, and what was refused. */
async function imported(count: number, valid: boolean) {
  const written: number[] = [];
  const importer = createLegacyImporter(
    {
      begin: async () => ({
        write: async (rows: readonly unknown[]) => {
          written.push(rows.length);
          return rows.map(() => 'imported');
        },
        finish: async () => undefined,
        abandon: async () => undefined,
      }),
    } as never,
    systemEnv,
    () => 0,
  );
  const updatedAt = valid ? '1970-01-01T12:00:00Z' : 'never';
  const listings = Array.from({ length: count }, (_, i) => ({ id: `l${i}`, title: 'a', updatedAt }));
  const body = Buffer.from(JSON.stringify({ listings }));
  async function* read(): AsyncGenerator<Uint8Array> {
    yield body;
  }
  const { refused, refusedCount } = await importer.take('legacy:a', { read }, { force: false });
  return { written, named: refused.length, counted: refusedCount };
}
const READER = 'the body of an export, as it was spooled on disk, is read by this very reader';

export const IMPORT_CASES: CasesOf<'daemon/federation/legacy-import.ts'> = {
  bodyBytes: {
    over: 'HTTP',
    send: (_, n) =>
      SourceBench.with(
        (response) => {
          response.writeHead(200, { 'content-length': n }).flushHeaders();
          setImmediate(() => response.destroy());
        },
        ({ parts, url, run }) =>
          settled(pullExport(parts, { kind: 'legacy', id: `legacy:${url}`, url }, false, run)),
      ),
    gives: ['peer-unreachable', 'peer-unreachable', 'answer-too-large'],
  },
  named: {
    over: 'in process',
    why: READER,
    send: async (_, n) => {
      const { named, counted } = await imported(n, false);
      return [named, counted];
    },
    gives: [
      [99, 99],
      [100, 100],
      [100, 101],
    ],
  },
  batch: {
    over: 'in process',
    why: READER,
    send: async (_, n) => (await imported(n, true)).written,
    gives: [[255], [256], [256, 1]],
  },
};

export const LEGACY_AHEAD: BoundaryCase = {
  over: 'clock',
  send: async (_, ms) => {
    const row = legacyRow('listings', { id: 'a', title: 'a', updatedAt: new Date(ms).toISOString() }, 0);
    return typeof row === 'string' ? row.slice(0, 20) : 'taken';
  },
  gives: ['taken', 'taken', 'updatedAt: more than'],
};
