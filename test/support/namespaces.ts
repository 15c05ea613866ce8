import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';

/** A process's own network: it can be cut off and healed without the process knowing. */
export interface Island {
  /** Command that runs a program inside. */
  readonly prefix: readonly string[];
  /** Address on the network that is cut: for Mycelium. */
  readonly dataAddress: string;
  /** Address on a second network that stays: for the test's own HTTP requests. */
  readonly controlAddress: string;
  /** Takes the cable out: packets vanish, sockets stay open and learn nothing. */
  cut(): void;
  heal(): void;
}

/** Why namespaces cannot be made here, with the cure, or undefined when they can. */
export function namespacesLacking(): string | undefined {
  const name = `agtry${process.pid}`;
  const made = spawnSync('ip', ['netns', 'add', name], { encoding: 'utf8' });
  if (made.error !== undefined) return 'no `ip` command: apt-get install iproute2';
  if (made.status !== 0)
    return `network namespaces need root (with apt-get install iproute2): ${made.stderr.trim()}`;
  ip('netns', 'del', name);
  return undefined;
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

/** Islands on two bridges of this machine. `close` removes them all, after their processes have ended. */
export class Archipelago {
  // Two networks of 10/8 by chance, so that runs side by side do not meet.
  readonly #nets = (([a = 0, b = 0]) => [`10.${a}.${b}`, `10.${a}.${(b + 1) % 256}`] as const)(
    randomBytes(2),
  );
  readonly #tag = randomBytes(3).toString('hex');
  readonly #namespaces: string[] = [];
  readonly #bridges: string[] = [];

  constructor() {
    for (const [i, net] of this.#nets.entries()) {
      const bridge = `agb${this.#tag}${i}`;
      ip('link', 'add', bridge, 'type', 'bridge');
      this.#bridges.push(bridge);
      if (i === 1) ip('addr', 'add', `${net}.254/24`, 'dev', bridge);
      ip('link', 'set', bridge, 'up');
    }
  }

  add(): Island {
    const no = this.#namespaces.length + 1;
    const name = `agn${this.#tag}${no}`;
    ip('netns', 'add', name);
    this.#namespaces.push(name);
    ip('-n', name, 'link', 'set', 'lo', 'up');
    const outer = this.#nets.map((net, i) => {
      const [outside, inside] = [`agv${this.#tag}${no}${i}`, `net${i}`];
      ip('link', 'add', outside, 'type', 'veth', 'peer', 'name', inside, 'netns', name);
      ip('link', 'set', outside, 'master', `agb${this.#tag}${i}`, 'up');
      ip('-n', name, 'addr', 'add', `${net}.${no}/24`, 'dev', inside);
      ip('-n', name, 'link', 'set', inside, 'up');
      return outside;
    });
    const cable = outer[0] ?? '';
    return {
      prefix: ['ip', 'netns', 'exec', name],
      dataAddress: `${this.#nets[0]}.${no}`,
      controlAddress: `${this.#nets[1]}.${no}`,
      cut: () => ip('link', 'set', cable, 'down'),
      heal: () => ip('link', 'set', cable, 'up'),
    };
  }

  close(): void {
    for (const name of this.#namespaces.splice(0)) ip('netns', 'del', name);
    for (const bridge of this.#bridges.splice(0)) ip('link', 'del', bridge);
  }
}
