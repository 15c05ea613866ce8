import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterEach, expect, it } from 'vitest';

interface Line {
  readonly ready?: string;
  readonly addresses?: readonly string[];
  readonly peers?: readonly string[];
  readonly message?: string;
  readonly subscriber?: string;
}

/** One discovery-node process, and every line it has printed. */
class Node {
  readonly lines: Line[] = [];
  readonly #child: ChildProcess;
  readonly #waiting = new Set<() => void>();

  constructor(seed: number, bootstrap: readonly string[]) {
    const script = new URL('../support/discovery-node.ts', import.meta.url).pathname;
    const options = JSON.stringify({ seed, network: 'discovery-test', bootstrap });
    this.#child = spawn(process.execPath, [script, options], { stdio: ['pipe', 'pipe', 'inherit'] });
    if (this.#child.stdout === null) throw new Error('no output');
    createInterface({ input: this.#child.stdout }).on('line', (text) => {
      this.lines.push(JSON.parse(text) as Line);
      for (const look of this.#waiting) look();
    });
  }

  /** Resolves with the first value that `pick` finds among the lines, rejects after `ms`. */
  async until<T>(what: string, ms: number, pick: (lines: readonly Line[]) => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const value = pick(this.lines);
        if (value === undefined) return;
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve(value);
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(look);
        reject(new Error(`not within ${ms} ms: ${what}; saw ${JSON.stringify(this.lines.slice(-20))}`));
      }, ms);
      this.#waiting.add(look);
      look();
    });
  }

  tell(command: string): void {
    this.#child.stdin?.write(`${command}\n`);
  }

  ready(): Promise<{ peerId: string; address: string }> {
    return this.until('ready', 20_000, (lines) => {
      const line = lines.find((one) => one.ready !== undefined);
      const address = line?.addresses?.[0];
      return line?.ready === undefined || address === undefined ? undefined : { peerId: line.ready, address };
    });
  }

  sees(peerIds: readonly string[], ms: number): Promise<boolean> {
    return this.until(`${peerIds.length} peers`, ms, (lines) => {
      const last = lines.findLast((line) => line.peers !== undefined)?.peers ?? [];
      return peerIds.every((peerId) => last.includes(peerId)) ? true : undefined;
    });
  }

  heard(text: string, ms: number): Promise<boolean> {
    return this.until(
      `message ${text}`,
      ms,
      (lines) => lines.some((line) => line.message === text) || undefined,
    );
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit', { signal: AbortSignal.timeout(10_000) });
    this.#child.stdin?.end();
    const [code] = await gone.catch(() => {
      this.#child.kill('SIGKILL');
      return ['did not stop by itself'];
    });
    expect(code).toBe(0);
  }
}

const nodes: Node[] = [];
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.stop()));
});

it('five processes find one another through the DHT from one bootstrap address, and strangers get no entry', async () => {
  const first = new Node(1, []);
  nodes.push(first);
  const { peerId, address } = await first.ready();

  // only the address, not the identity: as somebody types it from a piece of paper
  const bare = address.replace(/\/p2p\/.*$/, '');
  for (const seed of [2, 3, 4, 5]) nodes.push(new Node(seed, [bare]));
  const others = await Promise.all(nodes.slice(1).map((node) => node.ready()));
  const started = performance.now();
  const ids = [peerId, ...others.map((other) => other.peerId)];
  await Promise.all(
    nodes.map((node, at) =>
      node.sees(
        ids.filter((_, other) => other !== at),
        10_000,
      ),
    ),
  );
  const took = performance.now() - started;
  console.info(`five nodes know one another ${(took / 1000).toFixed(2)} s after the last one was ready`);
  expect(took).toBeLessThan(10_000);

  // A and B register one another; C believes that everybody is registered with it, and D registers C
  const [a, b, c, d] = nodes;
  if (a === undefined || b === undefined || c === undefined || d === undefined)
    throw new Error('nodes missing');
  const [idA = '', idB = '', idC = '', idD = ''] = ids;
  a.tell(`register ${idB}`);
  b.tell(`register ${idA}`);
  for (const id of [idA, idB, idD]) c.tell(`register ${id}`);
  d.tell(`register ${idC}`);
  const subscribed = (id: string) => (lines: readonly Line[]) =>
    lines.some((line) => line.subscriber === id) || undefined;
  await Promise.all([
    a.until('B subscribed', 30_000, subscribed(idB)),
    b.until('A subscribed', 30_000, subscribed(idA)),
    c.until('D subscribed', 30_000, subscribed(idD)),
    d.until('C subscribed', 30_000, subscribed(idC)),
  ]);

  await deliver(c, d, 'from-c-a-stranger');
  await deliver(a, b, 'from-a');
  await deliver(b, a, 'from-b');

  const heard = (node: Node): (string | undefined)[] =>
    node.lines.map((line) => line.message?.replace(/\.\d+$/, '')).filter((message) => message !== undefined);
  expect(new Set(heard(a))).toEqual(new Set(['from-b']));
  expect(new Set(heard(b))).toEqual(new Set(['from-a']));
  expect(heard(c)).toEqual([]);
  expect(new Set(heard(d))).toEqual(new Set(['from-c-a-stranger']));
});

/** Publishes until it is heard: gossip promises nothing while both sides are still admitting one another. */
async function deliver(from: Node, to: Node, text: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    from.tell(`publish ${text}.${attempt}`);
    try {
      await to.heard(`${text}.${attempt}`, 1000);
      return;
    } catch (error) {
      if (attempt === 10) throw error;
    }
  }
}
