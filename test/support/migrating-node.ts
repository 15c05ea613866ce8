/**
 * A node that brings a database of an older layout forward, in a process of its own that kills itself at a step of that: `node
 * migrating-node.ts DIR STEP before|during`. A step is whatever LevelDB is told to write; `during` hands it over first, so that it may be on the
 * disk or not. Step 0 is none. It tells its parent how far it is.
 */
import { identityFromSeed } from '../../protocols/wire/identity.ts';
import type { Level, LevelOptions } from '../../storage/level.ts';
import { LevelFolder } from '../../storage/level-folder.ts';
import { openLedgerNode } from './ledger-node.ts';
import { threadedMerger } from './merger.ts';

export type MigratingMessage =
  /** A migration to this layout has begun, or done so many rows, after so many steps. */
  | { readonly kind: 'progress'; readonly layout: number; readonly rows: number; readonly steps: number }
  /** It is ready for requests. */
  | {
      readonly kind: 'ready';
      readonly steps: number;
      readonly alarms: readonly string[];
      readonly digest: string;
    };

const [dir = '', last = '0', moment = 'before'] = process.argv.slice(2);
let steps = 0;

function step<T>(write: () => Promise<T>): Promise<T> {
  const isLast = ++steps === Number(last);
  if (isLast && moment === 'before') process.kill(process.pid, 'SIGKILL');
  const written = write();
  if (isLast) process.kill(process.pid, 'SIGKILL');
  return written;
}

/** The real database, of which every writing is a step. */
function inSteps(level: Level): Level {
  return new Proxy(level, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      const run = (...args: readonly unknown[]): unknown => Reflect.apply(value, target, args);
      if (name === 'put' || name === 'del' || name === 'clear' || name === 'compactRange')
        return (...args: readonly unknown[]) => step(async () => run(...args));
      if (name !== 'batch') return run;
      return (...args: readonly unknown[]) => {
        if (args.length > 0) return step(async () => run(...args));
        const rows = target.batch();
        const write = rows.write.bind(rows);
        rows.write = (options) => step(() => write(options));
        return rows;
      };
    },
  });
}

class SteppedFolder extends LevelFolder {
  override async open(options: LevelOptions): Promise<{ level: Level; repaired: boolean }> {
    const opened = await super.open(options);
    return { ...opened, level: inSteps(opened.level) };
  }
}

function tell(message: MigratingMessage): void {
  process.send?.(message);
}

const merger = threadedMerger();
const identity = identityFromSeed(Buffer.alloc(32, 1));
const node = await openLedgerNode(dir, identity, merger, () => undefined, {
  home: new SteppedFolder(dir),
  onMigration: (layout, rows) => tell({ kind: 'progress', layout, rows, steps }),
});
tell({ kind: 'ready', steps, alarms: node.alarms(), digest: node.digestOf(identity.peerId) });
await node.close();
await merger.stop();
process.disconnect();
