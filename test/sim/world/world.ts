import { createHash } from 'node:crypto';
import { AgrinetError } from '../../../protocols/errors.ts';
import type { Entry } from '../../../protocols/feed/entry.ts';
import type { Committed } from '../../../protocols/ledger/types.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import type { RecordKey } from '../../../protocols/wire/ids.ts';
import { Chronicle } from './chronicle.ts';
import type { CrashKind } from './disk.ts';
import { BLOWS, LIES } from './fate.ts';
import { unsettled } from './liveness.ts';
import { countEnd } from './figures.ts';
import { countLosses } from './losses.ts';
import { withoutMachine } from './machine.ts';
import { Member } from './member.ts';
import { Network } from './network.ts';
import type { NodeWatcher } from './node.ts';
import { USES } from './operations.ts';
import { type Plant, plantingOf } from './plants.ts';
import { Safety } from './safety.ts';
import { StockWatch } from './stock.ts';
import { type Chance, chanceFrom, type Process, WorldTime } from './time.ts';

export interface WorldOptions {
  readonly seed: number;
  /** Nodes, 2 at least. */
  readonly nodes: number;
  /** Things that users, operators and fate do. */
  readonly events: number;
  readonly plant?: Plant | undefined;
  /** Nobody lies, comes late or has a wrong clock: what happens a scenario says (scenario.ts). */
  readonly isCalm?: boolean;
  /** Keeps every line of what happened. */
  readonly keepsLines?: boolean;
}

/** What became of a world. */
export interface WorldEnd {
  /** The first thing that must never be; undefined when all was well. */
  readonly violation: string | undefined;
  /** Over all that happened and all that is on every disk at the end, hex. */
  readonly hash: string;
  readonly lines: readonly string[];
  readonly figures: Readonly<Record<string, number>>;
}

/** A message that somebody sent, and what is in it. */
export interface SentMessage {
  readonly by: Member;
  readonly conversation: string;
  readonly id: string;
  readonly key: RecordKey;
  readonly content: string;
}

/** Refusals are answers. These say that something is broken. */
const BROKEN: ReadonlySet<string> = new Set([
  'internal',
  'value-damaged',
  'storage-failed',
  'database-damaged',
]);
/** After the last event everything has to settle in this time, milliseconds. */
const SETTLE_MS = 30 * 60_000;
/** A node takes in something of others within so long, milliseconds. */
const TAKEN_MS = 10_000;
/** How often it is looked whether it has. */
const LOOK_MS = 20_000;
/** Entries that somebody may forge something out of. */
const RECENT = 24;

/** A whole federation in one process, in a time of its own; the seed decides all of it. */
export class World {
  readonly seed: number;
  readonly chance: Chance;
  readonly time = new WorldTime();
  readonly chronicle: Chronicle;
  readonly network: Network;
  readonly members: readonly Member[];
  /** A registered node that keeps to no rules; in some worlds there is none. */
  readonly liar: Member | undefined;
  readonly stock: StockWatch;
  readonly #safety: Safety;
  readonly messages: SentMessage[] = [];
  readonly #erased: SentMessage[] = [];
  readonly recent: Entry[] = [];
  readonly figures: Record<string, number> = {};
  readonly #options: WorldOptions;
  readonly #takenBy = new Map<Member, () => void>();
  /** What users and operators wait for, with the process that is to answer. */
  readonly #open = new Map<number, { readonly name: string; readonly process: Process }>();
  #no = 0;
  /** Fate is over: what it had still planned does not happen. */
  isSettling = false;
  #lives = true;

  constructor(options: WorldOptions) {
    const { seed, nodes, plant, isCalm = false, keepsLines = false } = options;
    this.#options = options;
    this.seed = seed;
    this.chance = chanceFrom(seed);
    this.chronicle = new Chronicle(keepsLines);
    const { chance, time } = this;
    this.network = new Network({
      time,
      chance: chanceFrom(seed + 7_919),
      trace: (line) => this.note(line),
    });
    const plantings = [plantingOf(plant), plantingOf(plant === 'accept-fork' ? undefined : plant)] as const;
    const members: Member[] = [];
    for (let index = 0; index < nodes; index++) {
      const identity = this.chronicle.watched(identityFromSeed(chance.bytes(32)));
      members.push(
        new Member({
          index,
          seed,
          identity,
          time,
          network: this.network,
          planting: plantings[index === 0 ? 0 : 1],
          watcher: this.#watcher(() => members[index]),
          onStarted: (member) => this.#started(member),
        }),
      );
    }
    this.members = members;
    this.stock = new StockWatch(this.chronicle);
    this.#safety = new Safety(this.chronicle, members);
    this.liar = !isCalm && nodes > 2 && chance() < 0.5 ? members[nodes - 1] : undefined;
    if (this.liar !== undefined) this.chronicle.liars.add(this.liar.peerId);
    if (plant === 'lose-write') for (const { disk } of members) disk.plantLoss();
  }

  nextNo(): number {
    return ++this.#no;
  }

  note(line: string): void {
    this.chronicle.trace(`${this.time.now} ${line}`);
  }

  count(what: string): void {
    this.figures[what] = (this.figures[what] ?? 0) + 1;
  }

  #watcher(member: () => Member | undefined): NodeWatcher {
    const named = (): string => member()?.name ?? '';
    return {
      committed: (committed) => this.#committed(member(), committed),
      alarm: (kind) => {
        this.count(`alarm ${kind}`);
        this.note(`${named()} alarm ${kind}`);
      },
      exchanged: (event) => {
        if (event.kind === 'digest-differs')
          this.chronicle.violate(
            `${named()} and ${event.peer} hold the same of ${event.author} and show different digests`,
          );
        if (event.kind === 'peer-distrusted' && event.peer !== this.liar?.peerId)
          this.chronicle.violate(
            `${named()} distrusts ${event.peer}, who is honest, because of ${event.code}`,
          );
      },
      rejected: (from) => {
        if (from !== this.liar?.peerId)
          this.chronicle.violate(`${named()} rejected gossip of ${from}, who is honest`);
      },
      failed: (what, error) => this.#failed(`${named()} ${what}`, error),
    };
  }

  /** What was acknowledged before is there again at once. */
  #started(member: Member): void {
    this.#safety.checkOwn(member);
    void this.stock.started(member);
  }

  #committed(member: Member | undefined, committed: Committed): void {
    if (member === undefined) return;
    for (const { author, header, hash } of committed.entries) {
      this.note(`${member.name} commits ${author} ${header.channel} ${header.epoch} ${header.seq} ${hash}`);
      this.count('entries');
    }
    if (committed.local) {
      this.recent.push(...committed.entries);
      this.recent.splice(0, Math.max(0, this.recent.length - RECENT));
    }
    if (!committed.local) this.#takenBy.get(member)?.();
    this.#safety.committed(member, committed);
    this.stock.committed(member, committed);
  }

  /** Something that must not fail has failed. */
  #failed(what: string, error: unknown): void {
    if (error instanceof AgrinetError && !BROKEN.has(error.code)) return this.note(`${what}: ${error.code}`);
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.chronicle.violate(`${what} failed: ${text.replaceAll('\n', ' | ')}`);
  }

  /** Somebody asks a node for something. A refusal is an answer; none at all is a fault, unless the process has ended. */
  attempt(
    member: Member,
    name: string,
    work: () => Promise<unknown>,
    process = member.running?.process,
  ): void {
    if (process === undefined) return;
    const no = this.nextNo();
    this.#open.set(no, { name: `${name} at ${member.name}`, process });
    this.note(`${member.name} ${name}`);
    work().then(
      () => {
        this.#open.delete(no);
        this.count(name);
        this.note(`${member.name} ${name} done`);
      },
      (error: unknown) => {
        this.#open.delete(no);
        this.count(`${name} refused`);
        this.#failed(`${member.name} ${name}`, error);
      },
    );
  }

  erased(_: Member, message: SentMessage): void {
    this.#erased.push(message);
  }

  /** Calls once, right after a node has taken in something of others, which is not synced yet; after a while in any case. */
  onceTaken(member: Member, call: () => void): void {
    const once = (): void => {
      if (this.#takenBy.get(member) !== once) return;
      this.#takenBy.delete(member);
      this.time.after(0, call);
    };
    this.#takenBy.set(member, once);
    this.time.after(TAKEN_MS, once);
  }

  crash(member: Member, kind: CrashKind): void {
    this.note(`${member.name} crashes: ${kind}`);
    this.count(`crash ${kind}`);
    member.crash(kind);
    this.stock.forget(member);
    if (kind === 'power') countLosses(this.chronicle, this.members);
  }

  restore(member: Member): void {
    this.note(`${member.name} is restored`);
    this.count('restores');
    this.lose(member, () => member.restore());
  }

  /** What a node held is gone, but for what `replace` puts on its disk. */
  lose(member: Member, replace: () => void): void {
    replace();
    this.stock.forget(member);
    this.#safety.forgetOwn(member);
    countLosses(this.chronicle, this.members, member);
  }

  // -- how it goes on

  /** Runs it to its end. */
  run(): Promise<WorldEnd> {
    return withoutMachine(
      (what) => this.chronicle.violate(what),
      () => this.#run(),
    );
  }

  async #run(): Promise<WorldEnd> {
    this.begin();
    this.#plan(this.#options.events);
    while (this.#lives && this.chronicle.violation === undefined && (await this.step()));
    return {
      violation: this.chronicle.violation,
      hash: this.#hash(),
      lines: this.chronicle.lines,
      figures: this.figures,
    };
  }

  /** Lets the next event happen until nothing of it goes on any more; then it is looked at. False when there is none. */
  async step(): Promise<boolean> {
    if (!this.time.step()) return false;
    await quiet();
    this.#safety.check();
    if (!this.stock.hasWork) return true;
    await this.stock.check();
    await quiet();
    return true;
  }

  /** What is not yet as it has to be in the end, in a line; undefined when everything has settled. */
  problem(): Promise<string | undefined> {
    return unsettled(this, this.#erased, this.#waiting());
  }

  /** Everybody but a latecomer is there from the beginning, and registered with everybody. */
  begin(): void {
    const { isCalm = false } = this.#options;
    const late = !isCalm && this.members.length > 2 && this.chance() < 0.3 ? this.members[1] : undefined;
    for (const member of this.members) {
      for (const other of this.members) if (other !== member) this.#introduce(member, other);
      if (!isCalm) member.skewMs = Math.floor((this.chance() - 0.5) * 4000);
      if (member === late) this.time.after(this.chance.below(300_000), () => member.start());
      else member.start();
    }
  }

  #introduce(member: Member, other: Member): void {
    const registration = {
      caller: other.peerId,
      nodeUrl: '',
      region: '',
      name: other.name,
      multiaddrs: [],
      schemaVersion: 1,
      tlsFingerprint: '',
    };
    member.todo.push(({ registry, env }) =>
      this.attempt(member, 'register', () => registry.register(registration, undefined, env.now())),
    );
  }

  #plan(left: number): void {
    const pause = this.chance() < 0.05 ? 60_000 : 4000;
    this.time.after(this.chance() * pause, () => {
      if (left === 0) return this.#settle();
      this.#happen();
      this.#plan(left - 1);
    });
  }

  #happen(): void {
    const { chance, members, liar } = this;
    const member = chance.pick(members);
    if (chance() < 0.12) {
      const blow = weighted(chance, BLOWS);
      this.note(`${blow.name} ${member.name}`);
      this.count(blow.name);
      return blow.strike(this, member);
    }
    const { running } = member;
    if (running === undefined) return;
    // Who keeps to no rules has public records alone: a contract with it is nobody's promise.
    const uses = member === liar ? [...USES.slice(0, 3), ...LIES] : USES;
    const use = weighted(chance, uses);
    this.attempt(member, use.name, async () => use.run(this, member, running));
  }

  /** Fate is over: everybody runs, reaches everybody, and is registered; then everything has to settle. */
  #settle(): void {
    this.note('settle');
    this.isSettling = true;
    this.network.heal();
    for (const member of this.members) {
      member.start();
      const again = (): void => {
        const { running } = member;
        if (running === undefined) return void member.todo.push(again);
        this.attempt(member, 'take up all', async () => {
          for (const { peerId, status } of running.registry.list()) {
            // What somebody has sent is forgiven, too: an operator does so by this.
            if (status === 'active' && peerId === this.liar?.peerId)
              await running.registry.change(peerId, 'suspend');
            const now = running.registry.get(peerId)?.status;
            if (now === 'suspended') await running.registry.change(peerId, 'resume');
            if (now === 'revoked') await running.registry.change(peerId, 'approve');
          }
          await running.mycelium.syncNow();
        });
      };
      again();
    }
    this.#look(this.time.now + SETTLE_MS);
  }

  #look(until: number): void {
    this.time.after(LOOK_MS, () => {
      this.members.forEach((member) => member.start());
      void this.problem().then((problem) => {
        if (problem === undefined) return this.#end();
        if (this.time.now < until) this.#look(until);
        else this.chronicle.violate(`never settled: ${problem}`);
      });
    });
  }

  #end(): void {
    void countEnd(this.members, this.figures).then(() => {
      this.#lives = false;
    });
  }

  #waiting(): string | undefined {
    for (const { name, process } of this.#open.values()) if (process.alive) return name;
    return undefined;
  }

  #hash(): string {
    const hash = createHash('sha256').update(this.chronicle.digest());
    for (const { disk } of this.members)
      for (const key of disk.rows.keys()) hash.update(key).update(disk.rows.get(key) ?? '');
    return hash.digest('hex');
  }
}

function weighted<T extends { readonly weight: number }>(chance: Chance, from: readonly T[]): T {
  let left = chance() * from.reduce((sum, { weight }) => sum + weight, 0);
  for (const each of from) {
    left -= each.weight;
    if (left < 0) return each;
  }
  return chance.pick(from);
}

const turn = setImmediate;

/** Resolves when nothing of what has begun goes on by itself: in a world that is promises alone. */
function quiet(): Promise<void> {
  return new Promise((resolve) => turn(resolve));
}
