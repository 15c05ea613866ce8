import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AskedSource, SignedRequest } from '../../../../api/ports/sync-target.ts';
import { createGuardedFetch } from '../../../../daemon/federation/guarded-fetch.ts';
import type { SyncParts, SyncRun } from '../../../../daemon/federation/sync-parts.ts';
import { HandClock, watchEnd } from '../../../support/hand-clock.ts';
import { type LoopbackServer, serve } from '../../../support/loopback-server.ts';
import { nodeOf } from '../../../support/vectors/signatures.ts';
import { waitFor } from '../../../support/wait.ts';

type Answer = (response: ServerResponse, request: IncomingMessage) => void;

/** A source on loopback that answers as it pleases, and the one that pulls, whose time passes only by hand. */
export class SourceBench {
  readonly clock = new HandClock();
  /** Requests that have arrived there. */
  asked = 0;
  /** Pages and entries that were taken in here. */
  received = 0;
  /** Entries that were taken in at once. */
  readonly pieces: number[] = [];
  readonly run: SyncRun = { signal: new AbortController().signal, progress: async () => undefined };
  readonly #server: LoopbackServer;
  readonly #ranges: number;
  readonly #accepted: number;

  private constructor(server: LoopbackServer, ranges: number, accepted: number) {
    this.#server = server;
    this.#ranges = ranges;
    this.#accepted = accepted;
  }

  /** Uses a bench and ends it. `ranges` are asked for whatever the source shows; `accepted` entries are new of each piece. */
  static async with<T>(
    answer: Answer,
    work: (bench: SourceBench) => Promise<T>,
    { ranges = 0, accepted = 1 }: { ranges?: number; accepted?: number } = {},
  ): Promise<T> {
    const server = await serve((request, response) => {
      bench.asked++;
      answer(response, request);
    });
    const bench = new SourceBench(server, ranges, accepted);
    try {
      return await work(bench);
    } finally {
      await server.close();
    }
  }

  get url(): string {
    return this.#server.url;
  }

  get fetch(): SyncParts['fetch'] {
    return createGuardedFetch({ env: this.clock.env, allowPrivate: false, allowLoopback: true });
  }

  get source(): Extract<AskedSource, { kind: 'agrinetd' }> {
    const request = requestFor('/federation/feeds');
    return { kind: 'agrinetd', id: nodeOf(1).peerId, url: this.url, tlsFingerprint: '', request };
  }

  get parts(): SyncParts {
    return {
      env: this.clock.env,
      fetch: this.fetch,
      target: {
        source: async () => this.source,
        plan: async (_, pages) => {
          for await (const _page of pages) this.received++;
          const { peerId: author } = nodeOf(1);
          return Array.from({ length: this.#ranges }, () => ({ author, channel: 'public' }));
        },
        receive: async (_, _asked, items) => {
          this.received += items.length;
          this.pieces.push(items.length);
          return { accepted: this.#accepted, known: 0, ignored: 0, reasons: {} };
        },
        importLegacy: async (_, body) => {
          for await (const _chunk of body.read());
          return { imported: 0, unchanged: 0, refusedCount: 0, refused: [] };
        },
        rangeRequest: async () => ({ request: requestFor('/federation/feeds/any'), next: undefined }),
        renewCertificate: async () => '',
        noteSync: async () => undefined,
      },
    };
  }

  /** How work stands so long after its request has arrived. */
  readonly after = async (ms: number, work: Promise<unknown>): Promise<unknown> => {
    const end = watchEnd(work);
    await waitFor('the request to arrive', () => this.asked > 0);
    await this.clock.pass(ms);
    return end();
  };
}

const requestFor = (path: string): SignedRequest => ({ method: 'GET', path, header: 'signed' });
