import { expect } from 'vitest';
import { withoutMachine } from './machine.ts';
import type { Member } from './member.ts';
import type { RunningNode } from './node.ts';
import type { Rows } from './rows.ts';
import { World } from './world.ts';

/** How long anything is waited for, milliseconds of the world, unless another time is given. */
const PATIENCE_MS = 60_000;

/** A federation in which only happens what a test tells: everybody is honest, registered with everybody, and runs. */
export class Scenario {
  readonly world: World;

  constructor(seed: number, nodes: number) {
    this.world = new World({ seed, nodes, events: 0, isCalm: true });
  }

  get members(): readonly Member[] {
    return this.world.members;
  }

  /** Lets the world go on until `look` gives something, and returns that. Fails after so many milliseconds of the world, or at a violation. */
  async until<T>(
    what: string,
    look: () => Promise<T | false | undefined> | T | false | undefined,
    withinMs = PATIENCE_MS,
  ): Promise<T> {
    const { world } = this;
    for (const last = world.time.now + withinMs; world.time.now <= last;) {
      const found = await look();
      if (found !== false && found !== undefined) return found;
      if (!(await world.step())) break;
      expect(world.chronicle.violation).toBeUndefined();
    }
    throw new Error(`${what}: not within ${withinMs} ms of the world`);
  }

  /** Lets the world go on until work is done; its result, or what it throws. */
  async done<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    const end = (): void => {
      isDone = true;
    };
    work.then(end, end);
    await this.until('the end of some work', () => isDone);
    return work;
  }

  async pass(ms: number): Promise<void> {
    let isOver = false;
    this.world.time.after(ms, () => {
      isOver = true;
    });
    await this.until('the time to pass', () => isOver, ms + 1);
  }

  /** A node that runs. */
  node({ running, name }: Member): RunningNode {
    if (running === undefined) throw new Error(`${name} does not run`);
    return running;
  }

  async start(member: Member): Promise<RunningNode> {
    member.start();
    return this.until(`${member.name} to run`, () => member.running);
  }

  /** In order. */
  stop(member: Member): Promise<void> {
    return this.done(member.stop());
  }

  /** What was on its disk at another time is all that a node has: the image of a machine is put back. */
  putBack(member: Member, image: Rows): void {
    if (!member.isDown) this.world.crash(member, 'kill');
    this.world.lose(member, () => member.disk.replace(image));
  }

  /** Nobody of these and nobody else reach one another. */
  cut(...away: readonly Member[]): void {
    const { network } = this.world;
    for (const one of away)
      for (const other of this.members) {
        if (away.includes(other)) continue;
        network.link(one.peerId, other.peerId).up = false;
        network.link(other.peerId, one.peerId).up = false;
      }
    network.changed();
  }

  heal(): void {
    this.world.network.heal();
  }

  /** These two reach one another again, whoever else is cut off. */
  join(one: Member, other: Member): void {
    const { network } = this.world;
    network.link(one.peerId, other.peerId).up = true;
    network.link(other.peerId, one.peerId).up = true;
    network.changed();
  }

  /** Everybody holds and shows the same, nothing is pending, and nothing was lost. */
  settled(withinMs = PATIENCE_MS): Promise<true> {
    let problem: string | undefined;
    return this.until(
      'the federation to settle',
      async () => (problem = await this.world.problem()) === undefined,
      withinMs,
    ).then(
      () => true as const,
      (error: unknown) => {
        throw new Error(problem ?? 'not settled', { cause: error });
      },
    );
  }
}

/** Runs a scenario in a world of its own. What must never be is looked for after every step of it, as in every world. */
export async function inWorld(
  { seed, nodes }: { readonly seed: number; readonly nodes: number },
  tell: (scenario: Scenario, ...members: Member[]) => Promise<void>,
): Promise<void> {
  const scenario = new Scenario(seed, nodes);
  const { world } = scenario;
  await withoutMachine(
    (what) => world.chronicle.violate(what),
    async () => {
      world.begin();
      const hasAll = ({ running }: Member): boolean =>
        running !== undefined &&
        scenario.members.every(
          ({ peerId }) => peerId === running.host.peer || running.host.isConnected(peerId),
        );
      await scenario.until('everybody to run and reach everybody', () => scenario.members.every(hasAll));
      await tell(scenario, ...scenario.members);
    },
  );
  expect(world.chronicle.violation).toBeUndefined();
}
