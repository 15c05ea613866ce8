import type { DiffReport, OwnerDiff } from '../../api/ports/doctor.ts';
import { commonCoverage, type Coverage, notCompared, OWN_COVERAGE } from '../../protocols/digest/coverage.ts';
import { findDifferences } from '../../protocols/digest/search.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { type FrontierRelation, frontierRelation, sameFrontier } from '../../protocols/feed/frontier.ts';
import { hasGap } from '../../protocols/feed/gap.ts';
import type { FrontierGroup } from '../../protocols/mycelium/frontier-page.ts';
import type { RegisteredNode, Registry } from '../../protocols/registry/registry.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import { openSession } from '../federation/connection-session.ts';
import type { Node } from '../parts/running.ts';
import { DiffAsker, type PeerShown } from './diff-asker.ts';
import { DIFF_LIMITS } from './diff-limits.ts';
import type { DigestTrees } from './digest-trees.ts';

/** Compares what this node and a peer hold, over HTTP, and names the records that differ. */
export type Differ = (peer: string, deep: boolean) => Promise<DiffReport>;

/** What it uses of the node to compare and ask. */
export type DiffedNode = Pick<
  Node,
  'identity' | 'registry' | 'store' | 'settings' | 'fetch' | 'digestOf' | 'env'
>;

export function createDiffer(node: DiffedNode, trees: DigestTrees): Differ {
  return async (peer, deep) => {
    const other = nodeOf(node.registry, peer);
    const session = openSession(node.env);
    const asker = new DiffAsker(node, other, session);
    try {
      const shown = await asker.frontier();
      if (shown === undefined)
        throw new AgrinetError(
          'peer-timeout',
          `${other.url} took too long to send its frontier; try again later`,
        );
      const { owners, bySums } = await new Comparison(node, trees, asker, shown).run(deep);
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
}

/** By id or URL. Throws `node-unknown`, and `source-unknown` when it cannot be asked. */
function nodeOf(registry: Pick<Registry, 'get' | 'list'>, peer: string): RegisteredNode {
  const plain = peer.replace(/\/+$/, '');
  const found = registry.get(peer) ?? registry.list().find(({ url }) => url.replace(/\/+$/, '') === plain);
  if (found === undefined)
    throw new AgrinetError(
      'node-unknown',
      `no node ${peer.slice(0, 80)} is registered here; see agrinet nodes`,
    );
  if (found.url === '')
    throw new AgrinetError('source-unknown', 'that node has no URL, so it cannot be compared over HTTP');
  return found;
}

/** The result for one owner that both follow. */
interface Compared extends Pick<OwnerDiff, 'collections'> {
  readonly owner: PeerId;
  readonly theirs: FrontierGroup;
  readonly relation: FrontierRelation;
  readonly digestsDiffer: boolean;
}

/** This node's feeds and records against what one peer has shown. */
class Comparison {
  readonly #node: Pick<Node, 'store' | 'digestOf'>;
  readonly #trees: DigestTrees;
  readonly #asker: DiffAsker;
  readonly #groups: PeerShown['groups'];
  /** The collections that both know. */
  readonly #covers: Coverage;
  /** Owners whose sums were equal, so that no record was compared. */
  #bySums = 0;

  constructor(
    node: Pick<Node, 'store' | 'digestOf'>,
    trees: DigestTrees,
    asker: DiffAsker,
    shown: PeerShown,
  ) {
    this.#node = node;
    this.#trees = trees;
    this.#asker = asker;
    this.#groups = shown.groups;
    this.#covers = commonCoverage(OWN_COVERAGE, shown.knows);
  }

  async run(deep: boolean): Promise<Pick<DiffReport, 'owners' | 'bySums'>> {
    const groups = this.#node.store.feedGroups();
    const here = new Set(groups.flatMap(({ author, channel }) => (channel === 'public' ? [author] : [])));
    const owners: OwnerDiff[] = [];
    for (const owner of [...new Set([...here, ...this.#groups.keys()])].sort())
      owners.push(await this.#ofOwner(owner, here.has(owner), deep));
    return { owners, bySums: this.#bySums };
  }

  async #ofOwner(owner: PeerId, isHere: boolean, deep: boolean): Promise<OwnerDiff> {
    const { store } = this.#node;
    const theirs = this.#groups.get(owner);
    const relation = this.#relationTo(owner, theirs);
    const digest = this.#node.digestOf(owner, this.#covers);
    const bare = { owner, frontier: relation, collections: [] };
    // Whom only one of the two follows: nothing to compare.
    if (theirs === undefined || !isHere) return { ...bare, verdict: 'one-sided' };
    if (hasGap(store, store.feeds(owner, 'public'))) return { ...bare, verdict: 'forgotten' };
    if (theirs.digest === digest && !deep) {
      this.#bySums++;
      return { ...bare, verdict: 'same' };
    }
    const digestsDiffer = theirs.digest !== '' && theirs.digest !== digest;
    const collections = await this.#collections(owner);
    const verdict = await this.#verdictOf({ owner, theirs, relation, digestsDiffer, collections });
    return { owner, frontier: relation, verdict, collections };
  }

  async #collections(owner: PeerId): Promise<OwnerDiff['collections']> {
    const found: OwnerDiff['collections'][number][] = [];
    for (const collection of this.#covers.keys()) {
      const { onlyHere, onlyThere, different, cut } = await findDifferences({
        tree: await this.#trees.tree(owner, collection),
        ask: (prefix) => this.#asker.branch(owner, collection, prefix),
        parallel: DIFF_LIMITS.parallel,
        most: DIFF_LIMITS.named,
      });
      if (cut || onlyHere.length + onlyThere.length + different.length > 0)
        found.push({ collection, onlyHere, onlyThere, different, more: cut });
    }
    return found;
  }

  async #verdictOf(compared: Compared): Promise<OwnerDiff['verdict']> {
    const { owner, theirs, relation, digestsDiffer, collections } = compared;
    if (!digestsDiffer && collections.length === 0) return 'same';
    if (relation !== 'equal') return 'lag';
    // Each side's digest belongs to the frontier that it was shown with.
    if (digestsDiffer) return 'damage';
    const named = collections.some(
      ({ onlyHere, onlyThere, different }) => onlyHere.length + onlyThere.length + different.length > 0,
    );
    // Records were asked for one after another: what was written meanwhile on either side differs too.
    const after = named ? (await this.#asker.frontier())?.groups.get(owner) : undefined;
    const rested =
      after !== undefined &&
      sameFrontier(theirs.items, after.items) &&
      this.#relationTo(owner, after) === 'equal';
    return rested ? 'damage' : 'undecided';
  }

  #relationTo(owner: PeerId, theirs: FrontierGroup | undefined): FrontierRelation {
    const relation = frontierRelation(this.#node.store.feeds(owner, 'public'), theirs?.items ?? []);
    // A peer that shows no digest is missing something that its frontier covers.
    return relation === 'equal' && theirs?.digest === '' ? 'here' : relation;
  }
}
