import type { JobsPort } from '../../api/ports/jobs.ts';
import type { RegistrationPort } from '../../api/ports/registration.ts';
import { errorCode } from '../../protocols/errors.ts';
import type { Reader } from '../../storage/reader.ts';
import type { ScrubPort } from '../../api/ports/scrub.ts';
import type { Stall } from '../stalls/stalls.ts';
import { probeClocks } from './clock-probe.ts';
import { DOCTOR_LIMITS, type NodeFact, type OfflineFacts, type OnlineFacts } from './facts.ts';
import type { CheckId } from './finding.ts';
import type { GapWatch } from './gap-watch.ts';
import {
  conflictsFact,
  type ExaminedNode,
  jobsFact,
  nodeFact,
  nodeFacts,
  ownClockFact,
  quarantineFacts,
} from './node-facts.ts';
import type { MirrorHealth } from './ports.ts';

/** What the doctor reads of a running node. */
export interface OnlineSources {
  readonly node: ExaminedNode;
  readonly registration: Pick<RegistrationPort, 'nodes'>;
  readonly jobs: Pick<JobsPort, 'counts' | 'health' | 'list'>;
  readonly reader: Pick<Reader, 'verdicts' | 'conflicts'>;
  readonly stalls: () => readonly Stall[];
  readonly gaps: () => ReturnType<GapWatch['gaps']>;
  readonly startedAt: number;
  readonly now: () => number;
  readonly mirror?: (() => MirrorHealth) | undefined;
  readonly scrub: { status(): Pick<ReturnType<ScrubPort['status']>, 'current' | 'last'> };
}

/** The facts, and what could not be read: a database that fails must not hide other faults. */
export interface Gathered {
  readonly facts: OnlineFacts;
  readonly unchecked: { readonly check: CheckId; readonly code: string }[];
}

/** Asks every part, each for itself. Ends by itself soon after `signal`. */
export async function gatherOnline(
  sources: OnlineSources,
  offline: OfflineFacts,
  signal: AbortSignal,
): Promise<Gathered> {
  const { node, registration, reader } = sources;
  const answers = new Answers();
  const nodes = await answers.of(
    ['peers', 'registrations', 'schema'],
    async () => (await registration.nodes('whole')).map(nodeFact),
    [],
  );
  const labels = new Map(nodes.map(({ id, label }) => [id, label]));
  const clocks = await clockFacts(sources, nodes, labels, signal);
  if (signal.aborted) answers.unchecked.push({ check: 'clock', code: 'peer-timeout' });
  const facts: OnlineFacts = {
    ...offline,
    ...nodeFacts(sources, labels),
    nodes,
    clocks,
    ownClock: await ownClockFact(node),
    quarantine: await answers.of(
      ['quarantine', 'schema'],
      async () => quarantineFacts(node, (await reader.verdicts(DOCTOR_LIMITS.rows)).ops),
      [],
    ),
    conflicts: await answers.of(
      ['conflicts'],
      async () => conflictsFact(node.identity.peerId, await reader.conflicts(DOCTOR_LIMITS.rows)),
      { own: 0, others: 0 },
    ),
    jobs: await jobsFact(sources.jobs),
    mirror: await answers.of(['mirror'], () => sources.mirror?.(), undefined),
  };
  return { facts, unchecked: answers.unchecked };
}

/** Answers of parts, and what could not be checked because one gave none. */
class Answers {
  readonly unchecked: { check: CheckId; code: string }[] = [];

  async of<T>(checks: readonly CheckId[], read: () => T | Promise<T>, otherwise: T): Promise<T> {
    try {
      return await read();
    } catch (error) {
      for (const check of checks) this.unchecked.push({ check, code: errorCode(error) });
      return otherwise;
    }
  }
}

/** Those that answer first: the silent ones may take all the time there is. */
async function clockFacts(
  { node, now }: Pick<OnlineSources, 'node' | 'now'>,
  nodes: readonly NodeFact[],
  labels: ReadonlyMap<string, string>,
  signal: AbortSignal,
): Promise<OnlineFacts['clocks']> {
  const online = new Set(nodes.flatMap((each) => (each.online ? [each.id] : [])));
  const probed = node.registry
    .list()
    .filter(({ status, url }) => status === 'active' && url !== '')
    .toSorted(
      (a, b) => Number(online.has(b.peerId)) - Number(online.has(a.peerId)) || (a.peerId < b.peerId ? -1 : 1),
    )
    .map(({ peerId, url, tlsFingerprint }) => ({
      id: peerId,
      label: labels.get(peerId) ?? peerId,
      url: url.replace(/\/+$/, ''),
      tlsFingerprint,
    }));
  const parts = { fetch: node.fetch, network: node.settings.myceliumNetwork, env: { ...node.env, now } };
  return probeClocks(parts, probed, signal);
}
