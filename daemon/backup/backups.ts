import type { BackupPort, ByteSource } from '../../api/ports/backup.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import type { Identity } from '../../protocols/wire/identity.ts';
import { writeBackup } from '../../storage/backup/backup-file.ts';
import { BACKUP_FORMAT } from '../../storage/backup/format.ts';
import { openSnapshot } from '../../storage/backup/snapshot.ts';
import type { Level } from '../../storage/level.ts';
import { VERSION } from '../version.ts';

/** Bounds of a snapshot: as long as one is held, LevelDB keeps everything that was replaced or erased since. */
export const SNAPSHOT_LIMITS = {
  /** A reader that asks for nothing for so long, in milliseconds, has gone. */
  stalledMs: 60_000,
  /** All of one backup, in milliseconds: hundreds of gigabytes from a slow disk. */
  heldMs: 6 * 3_600_000,
} as const;

export interface BackupParts {
  readonly db: { readonly level: Level };
  readonly identity: Identity;
  readonly network: string;
  readonly now: () => number;
  /** One was read to its end. */
  readonly onTaken: () => void;
  readonly limits?: { readonly stalledMs: number; readonly heldMs: number };
}

/** Backups of an open database, one at a time: each from a snapshot that is let go of with its reader, however that ends. */
export function createBackups(parts: BackupParts): BackupPort {
  const limits = parts.limits ?? SNAPSHOT_LIMITS;
  let busy = false;

  return {
    async open({ withKeys }) {
      if (busy)
        throw new AgrinetError('backup-busy', 'a backup is being taken already. Try again when it is done.');
      busy = true;
      try {
        return await begin(withKeys);
      } catch (error) {
        busy = false;
        throw error;
      }
    },
  };

  async function begin(withKeys: boolean): Promise<ByteSource> {
    const createdAt = parts.now();
    const snapshot = await openSnapshot(parts.db.level);
    const { layout, digest } = snapshot;
    const { identity, network } = parts;
    const { peerId } = identity;
    const format = BACKUP_FORMAT;
    const about = { format, layout, agrinetd: VERSION, peerId, network, createdAt } as const;
    const manifest = { ...about, withKeys, digest };
    const chunks = writeBackup(identity, manifest, snapshot.pairs(), (key) => snapshot.position(key));
    let stalled: NodeJS.Timeout | undefined;
    let failure: AgrinetError | undefined;
    let ended: Promise<void> | undefined;

    const release = (): Promise<void> => {
      clearTimeout(stalled);
      clearTimeout(held);
      ended ??= snapshot.close().finally(() => (busy = false));
      return ended;
    };
    const giveUp = (why: string) => () => {
      failure = new AgrinetError('backup-stalled', `the backup was given up: ${why}`);
      void release().catch(() => undefined); // the database is being closed, and the snapshot with it
    };
    const held = setTimeout(giveUp('it took too long'), limits.heldMs).unref();
    const waitForReader = (): void => {
      stalled = setTimeout(giveUp('nobody reads it any more'), limits.stalledMs).unref();
    };
    waitForReader();
    return {
      async next() {
        clearTimeout(stalled);
        try {
          if (failure !== undefined) throw failure;
          const { done, value } = await chunks.next();
          if (done !== true) {
            waitForReader();
            return { done: false, value };
          }
          await release();
          parts.onTaken();
          return { done: true, value: undefined };
        } catch (error) {
          await release();
          throw failure ?? error;
        }
      },
      async return() {
        await release();
        await chunks.return(undefined);
      },
    };
  }
}

/** A source for whoever reads in this process. */
export async function* bytesOf(source: ByteSource): AsyncGenerator<Uint8Array> {
  try {
    for (;;) {
      const { done, value } = await source.next();
      if (done === true) return;
      yield value;
    }
  } finally {
    await source.return(undefined);
  }
}
