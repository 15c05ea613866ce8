import { randomBytes } from 'node:crypto';
import type { DiffReport, OwnerDiff } from '../../api/ports/doctor.ts';
import {
  commonCoverage,
  type Coverage,
  coverageText,
  notCompared,
  OWN_COVERAGE,
} from '../../protocols/digest/coverage.ts';
import { type PrefixAnswer, readPrefixAnswer } from '../../protocols/digest/prefix.ts';
import { findDifferences } from '../../protocols/digest/search.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { type FrontierRelation, frontierRelation, sameFrontier } from '../../protocols/feed/frontier.ts';
import { hasGap } from '../../protocols/feed/gap.ts';
import type { FrontierGroup } from '../../protocols/mycelium/frontier-page.ts';
import { FRONTIER_SEQUENCE, readFrontierSequence } from '../../protocols/mycelium/frontier-sequence.ts';
import { REQUEST_HEADER, sealRequest } from '../../protocols/mycelium/signed-request.ts';
import type { RegisteredNode } from '../../protocols/registry/registry.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import { openSession } from '../federation/connection-session.ts';
import { PULL_LIMITS } from '../federation/https-pull.ts';
import type { Node } from '../node.ts';
import type { DigestTrees } from './digest-trees.ts';

export const DIFF_LIMITS = {
  /** All of it; the command line waits a minute. */
  totalMs: 45_000,
  /** One question. */
  askMs: 15_000,
  /** Questions to the peer: a thousand scattered differences take about so many. */
  requests: 1500,
  /** Bytes of all answers: a frontier of a large federation, and the digests. */
  bytes: 32 * 1024 * 1024,
  /** Of one answer about a prefix: 16 branches or 32 records are below 8 KiB. */
  answerBytes: 64 * 1024,
  /** Questions under way. */
  parallel: 4,
  /** Records named of one owner and collection; what is more is said to be more. */
  named: 200,
} as const;

/** What a peer shows: its public feeds, and all that its version knows; its digests are over what both know. */
interface Shown {
  readonly groups: ReadonlyMap<PeerId, FrontierGroup>;
  readonly knows: Coverage;
}

/** Compares what this node and a peer hold, over HTTP, and names the records that differ. */
export type Differ = (peer: string, deep: boolean) => Promise<DiffReport>;

export function createDiffer(node: Node, trees: DigestTrees): Differ {
  const { identity, registry, store, settings } = node;

  function nodeOf(peer: string): RegisteredNode {
    const plain = peer.replace(/\/+$/, '');
    const found = registry.get(peer) ?? registry.list().find(({ url }) => url.replace(/\/+$/, '') === plain);
    if (found === undefined)
      throw new AgrinetError(
        'node-unknown',
        `no node ${peer.slice(0, 80)} is registered here; see agrinet nodes`,
      );
    if (found.url === '')
      throw new AgrinetError('source-unknown', 'that node has no URL, so it cannot be asked over HTTP');
    return found;
  }

  return async (peer, deep) => {
    const other = nodeOf(peer);
    const session = openSession();
    const asker = createAsker(node, other, session);
    try {
      const shown = await asker.frontier();
      if (shown === undefined)
        throw new AgrinetError(
          'peer-timeout',
          `${other.url} took too long to show what it has; try again later`,
        );
      const { owners, bySums } = await compareOwners(shown, asker, deep);
      const { requests, bytes } = asker;
      return {
        peer: other.peerId,
        same: owners.every(({ verdict }) => verdict === 'same'),
        damaged: owners.some(({ verdict }) => verdict === 'damage'),
        notCompared: notCompared(shown.knows),
        owners,
        bySums,
        requests,
        bytes,
      };
    } finally {
      session.close();
    }
  };

  async function compareOwners(
    { groups, knows }: Shown,
    asker: Asker,
    deep: boolean,
  ): Promise<Pick<DiffReport, 'owners' | 'bySums'>> {
    const here = new Set(
      store.feedGroups().flatMap(({ author, channel }) => (channel === 'public' ? [author] : [])),
    );
    const covers = commonCoverage(OWN_COVERAGE, knows);
    const found: OwnerDiff[] = [];
    let bySums = 0;
    for (const owner of [...new Set([...here, ...groups.keys()])].sort()) {
      const theirs = groups.get(owner);
      const relation = relationTo(owner, theirs);
      const digest = node.digestOf(owner, covers);
      const digestsDiffer = theirs !== undefined && theirs.digest !== '' && theirs.digest !== digest;
      if (theirs === undefined || !here.has(owner)) {
        // Whom only one of the two follows: nothing to compare.
        found.push({ owner, frontier: relation, verdict: 'one-sided', collections: [] });
        continue;
      }
      if (hasGap(store, store.feeds(owner, 'public'))) {
        found.push({ owner, frontier: relation, verdict: 'forgotten', collections: [] });
        continue;
      }
      if (theirs.digest === digest && !deep) {
        bySums++;
        found.push({ owner, frontier: relation, verdict: 'same', collections: [] });
        continue;
      }
      const collections: OwnerDiff['collections'][number][] = [];
      for (const collection of covers.keys()) {
        const rows = await trees.rows(owner, collection);
        const differences = await findDifferences({
          collection,
          owner,
          rows,
          ask: (prefix) => asker.branch(owner, collection, prefix),
          parallel: DIFF_LIMITS.parallel,
          most: DIFF_LIMITS.named,
        });
        const { onlyHere, onlyThere, different, cut } = differences;
        if (cut || onlyHere.length + onlyThere.length + different.length > 0)
          collections.push({ collection, onlyHere, onlyThere, different, more: cut });
      }
      const verdict = await verdictOf({ owner, theirs, relation, digestsDiffer, collections }, asker);
      found.push({ owner, frontier: relation, verdict, collections });
    }
    return { owners: found, bySums };
  }

  async function verdictOf(compared: Compared, asker: Asker): Promise<OwnerDiff['verdict']> {
    const { owner, theirs, relation, digestsDiffer, collections } = compared;
    if (!digestsDiffer && collections.length === 0) return 'same';
    if (relation !== 'equal') return 'lag';
    // Each side's digest belongs to the frontier that it was shown with.
    if (digestsDiffer) return 'damage';
    const named = collections.some(
      ({ onlyHere, onlyThere, different }) => onlyHere.length + onlyThere.length + different.length > 0,
    );
    // Records were asked for one after another: what was written meanwhile on either side differs too.
    const after = named ? (await asker.frontier())?.groups.get(owner) : undefined;
    const rested =
      after !== undefined && sameFrontier(theirs.items, after.items) && relationTo(owner, after) === 'equal';
    return rested ? 'damage' : 'undecided';
  }

  function relationTo(owner: PeerId, theirs: FrontierGroup | undefined): FrontierRelation {
    const relation = frontierRelation(store.feeds(owner, 'public'), theirs?.items ?? []);
    // Who shows no digest is missing something that its frontier stands for.
    return relation === 'equal' && theirs?.digest === '' ? 'here' : relation;
  }

  /** What was found of one owner that both follow. */
  interface Compared extends Pick<OwnerDiff, 'collections'> {
    readonly owner: PeerId;
    readonly theirs: FrontierGroup;
    readonly relation: FrontierRelation;
    readonly digestsDiffer: boolean;
  }

  /** Asks the peer; undefined when no more may be asked. */
  interface Asker {
    frontier(): Promise<Shown | undefined>;
    branch(owner: PeerId, collection: string, prefix: string): Promise<PrefixAnswer | undefined>;
    readonly requests: number;
    readonly bytes: number;
  }

  function createAsker(
    { fetch }: Pick<Node, 'fetch'>,
    { peerId, url, tlsFingerprint }: RegisteredNode,
    session: ReturnType<typeof openSession>,
  ): Asker {
    const base = url.replace(/\/+$/, '');
    const signal = AbortSignal.timeout(DIFF_LIMITS.totalMs);
    let [requests, bytes] = [0, 0];
    /** With PUBLIC_READS=off there, only what a registered node signs is answered. */
    let signing = false;

    const once = (path: string, maxBytes: number, accept: string) =>
      fetch(base + path, {
        timeoutMs: DIFF_LIMITS.askMs,
        maxBytes,
        signal,
        session,
        ...(tlsFingerprint === '' ? {} : { pin: tlsFingerprint }),
        headers: { accept, ...(signing ? { [REQUEST_HEADER]: signed(path) } : {}) },
      });
    const signed = (path: string): string =>
      sealRequest(identity, {
        net: settings.myceliumNetwork,
        receiver: peerId,
        method: 'GET',
        path,
        time: Date.now(),
        nonce: new Uint8Array(randomBytes(16)),
      });

    async function ask(
      path: string,
      maxBytes: number,
      accept = 'application/json',
    ): Promise<Uint8Array | undefined> {
      if (requests >= DIFF_LIMITS.requests || bytes >= DIFF_LIMITS.bytes) return undefined;
      try {
        return await answerTo(path, maxBytes, accept);
      } catch (error) {
        // Time is up for all of it; what was found until then counts.
        if (signal.aborted) return undefined;
        throw error;
      }
    }
    async function answerTo(path: string, maxBytes: number, accept: string): Promise<Uint8Array> {
      requests++;
      let answer = await once(path, maxBytes, accept);
      if (answer.status === 403 && !signing) {
        await answer.bytes();
        signing = true;
        requests++;
        answer = await once(path, maxBytes, accept);
      }
      const data = await answer.bytes();
      bytes += data.length;
      if (answer.status !== 200)
        throw new AgrinetError(
          'peer-refused',
          `${base} answered with status ${answer.status}${answer.status === 404 ? '; its agrinetd is too old to be compared with' : ''}`,
        );
      return data;
    }

    return {
      async frontier() {
        const data = await ask(
          `/federation/feeds?knows=${coverageText(OWN_COVERAGE)}`,
          PULL_LIMITS.frontierBytes,
          FRONTIER_SEQUENCE,
        );
        if (data === undefined) return undefined;
        const groups = new Map<PeerId, FrontierGroup>();
        let knows: Coverage | undefined;
        for await (const page of readFrontierSequence(chunkOf(data), node.env)) {
          knows ??= page.knows;
          for (const group of page.groups) {
            if (group.channel !== 'public') continue;
            // One of more epochs than fit a page comes in parts.
            const known = groups.get(group.author);
            groups.set(group.author, known ? { ...known, items: [...known.items, ...group.items] } : group);
          }
        }
        return { groups, knows: knows ?? new Map() };
      },
      async branch(owner, collection, prefix) {
        const path = `/federation/digest/${owner}/${collection}?prefix=${prefix}`;
        const data = await ask(path, DIFF_LIMITS.answerBytes);
        return data === undefined
          ? undefined
          : readPrefixAnswer(jsonOf(data, base), { collection, owner, prefix });
      },
      get requests() {
        return requests;
      },
      get bytes() {
        return bytes;
      },
    };
  }
}

function jsonOf(data: Uint8Array, base: string): unknown {
  try {
    return JSON.parse(Buffer.from(data).toString());
  } catch (error) {
    throw new AgrinetError('answer-malformed', `${base} answered with something else than JSON`, {
      cause: error,
    });
  }
}

async function* chunkOf(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield data;
}
