import { MultiBar } from 'cli-progress';
import type { SingleBar } from 'cli-progress';
import { systemEnv } from '../system-env.ts';

/** How far a node is: records it holds of all there are, and what it is doing. */
export interface NodeProgress {
  update: (node: string, held: number, doing: string) => void;
  stop: () => void;
}

/** A bar for each node on a terminal; elsewhere a line for a node whenever a second has passed and something changed. */
export function createNodeProgress(nodes: readonly string[], total: number): NodeProgress {
  return process.stdout.isTTY ? bars(nodes, total) : lines(nodes, total);
}

function bars(nodes: readonly string[], total: number): NodeProgress {
  const width = Math.max(...nodes.map((name) => name.length));
  const multi = new MultiBar({
    format: '{name} {bar} {value}/{total} records | {doing}',
    stream: process.stdout,
    hideCursor: true,
    clearOnComplete: false,
  });
  const byName = new Map<string, SingleBar>();
  for (const name of nodes) {
    byName.set(name, multi.create(total, 0, { name: name.padEnd(width), doing: '' }));
  }
  return {
    update: (node, held, doing) => byName.get(node)?.update(held, { doing }),
    stop: () => multi.stop(),
  };
}

function lines(nodes: readonly string[], total: number): NodeProgress {
  const shown = new Map(nodes.map((name) => [name, { at: 0, text: '' }]));
  return {
    update: (node, held, doing) => {
      const last = shown.get(node);
      const text = `${node}: ${held}/${total} records, ${doing}`;
      if (last === undefined || last.text === text) return;
      if (held < total && systemEnv.monotonic() - last.at < 1_000) return;
      shown.set(node, { at: systemEnv.monotonic(), text });
      console.log(text);
    },
    stop: () => undefined,
  };
}
