import type { HeadNote, Level, LevelHome } from '../../../storage/level.ts';
import type { Disk } from './disk.ts';
import type { Process } from './time.ts';

/** Where a node's database stands in the world, for one process. */
export function homeOn(disk: Disk, process: Process): LevelHome {
  const open = (): Level => disk.open(process);
  return {
    folder: `/${process.name}/db`,
    look: async () => ({ initialized: disk.initialized, present: disk.initialized }),
    open: async () => ({ level: open(), repaired: false }),
    repair: async () => open(),
    check: async () => [],
    closed: async () => undefined,
    head: (): HeadNote => ({
      read: () => disk.head,
      write: (no) => {
        if (process.alive) disk.noteHead(no);
      },
      close: () => undefined,
    }),
    initialize: async () => {
      disk.initialized = true;
    },
  };
}
