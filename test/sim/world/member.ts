import type { Identity, PeerId } from '../../../protocols/wire/identity.ts';
import { rejoinRow } from '../../../storage/rejoin-row.ts';
import { openSnapshot } from '../../../storage/backup/snapshot.ts';
import { type CrashKind, Disk } from './disk.ts';
import { type NodeWatcher, type RunningNode, startNode } from './node.ts';
import type { Network } from './network.ts';
import type { Planting } from './plants.ts';
import { Rows } from './rows.ts';
import { chanceFrom, type Process, type WorldTime } from './time.ts';

/** What was let in before a node was suspended is written in this time, merges included, milliseconds. */
const UNDER_WAY_MS = 5_000;

export interface MemberParts {
  readonly index: number;
  readonly seed: number;
  readonly identity: Identity;
  readonly time: WorldTime;
  readonly network: Network;
  readonly planting: Planting;
  /** What of it the world is told, for one process of it. */
  readonly watcher: NodeWatcher;
  readonly onStarted: (member: Member) => void;
}

/** One node of the federation through all its processes, with its disk and its operator's backup. */
export class Member {
  readonly name: string;
  readonly identity: Identity;
  readonly #parts: MemberParts;
  readonly disk: Disk;
  #process: Process | undefined;
  #incarnation = 0;
  #backup: Rows | undefined;
  running: RunningNode | undefined;
  /** Its clock is so many milliseconds off. */
  skewMs = 0;
  readonly #suspended = new Map<string, number>();
  /** Works that its operator does once it runs. */
  readonly todo: ((node: RunningNode) => void)[] = [];

  constructor(parts: MemberParts) {
    this.#parts = parts;
    this.name = `n${parts.index}`;
    this.identity = parts.identity;
    this.disk = new Disk(parts.time, chanceFrom(parts.seed * 31 + parts.index));
  }

  get peerId(): PeerId {
    return this.identity.peerId;
  }

  /** The operator's word about another node. */
  suspend(peer: string): void {
    this.#suspended.set(peer, this.#parts.time.now);
  }

  justSuspended(peer: string): boolean {
    return this.#parts.time.now - (this.#suspended.get(peer) ?? -Infinity) < UNDER_WAY_MS;
  }

  /** Neither running nor about to. */
  get isDown(): boolean {
    return this.#process === undefined;
  }

  get hasBackup(): boolean {
    return this.#backup !== undefined;
  }

  start(): void {
    if (this.#process !== undefined) return;
    const { seed, index, time, network, planting, watcher } = this.#parts;
    this.#incarnation++;
    const process: Process = { name: `${this.name}.${this.#incarnation}`, alive: true };
    this.#process = process;
    const chance = chanceFrom((seed * 1009 + index) * 1009 + this.#incarnation);
    const env = time.envFor(process, () => this.skewMs, chance);
    startNode({ identity: this.identity, env, process, disk: this.disk, network, planting, watcher }).then(
      (running) => {
        if (!process.alive) return;
        this.running = running;
        for (const work of this.todo.splice(0)) work(running);
        this.#parts.onStarted(this);
      },
      (error: unknown) => watcher.failed('the start', error),
    );
  }

  crash(kind: CrashKind): void {
    if (this.#process === undefined) return;
    this.#end(kind === 'power');
    this.disk.crash(kind);
  }

  /** In order; resolves when it is down. */
  async stop(): Promise<void> {
    const { running } = this;
    if (running === undefined) return;
    this.running = undefined;
    const process = this.#process;
    await running.stop();
    if (this.#process === process) this.#end(false);
  }

  #end(silently: boolean): void {
    if (this.#process !== undefined) this.#process.alive = false;
    this.#process = undefined;
    this.running = undefined;
    this.#parts.network.gone(this.peerId, silently);
  }

  /** As `agrinet backup` takes it, while the node runs. */
  async backUp(): Promise<void> {
    const { running } = this;
    if (running === undefined) return;
    const snapshot = await openSnapshot(running.db.level);
    const rows = new Rows();
    for await (const [key, value] of snapshot.pairs()) rows.apply([{ type: 'put', key, value }]);
    await snapshot.close();
    this.#backup = rows;
  }

  /** As `agrinet restore`: what the disk held is lost but for the backup. */
  restore(): void {
    if (this.#backup === undefined) return;
    const rows = new Rows(this.#backup);
    rows.apply([rejoinRow({ cause: 'restored', since: this.#parts.time.now, answered: [] })]);
    this.disk.replace(rows);
  }
}
