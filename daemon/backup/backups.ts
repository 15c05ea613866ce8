import type { BackupPort, ByteSource } from '../../api/ports/backup.ts';
import type { Env, Timer } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import type { Identity } from '../../protocols/wire/identity.ts';
import type { Level } from '../../storage/level.ts';
import { VERSION } from '../version.ts';

/** Bounds of a snapshot: as long as one is held, LevelDB keeps everything that was replaced or erased since. */
export const SNAPSHOT_LIMITS = {
  /** A reader that requests nothing for this long, in milliseconds, is gone. */
  stalledMs: 60_000,
  /** One whole backup, in milliseconds: time for hundreds of gigabytes from a slow disk. */
  heldMs: 6 * 3_600_000,
} as const;

export interface BackupParts {
  readonly db: { readonly level: Level };
  readonly identity: Identity;
  readonly network: string;
  readonly env: Pick<Env, 'now' | 'after'>;
  /** One was read to its end. */
  readonly onTaken: () => void;
  readonly limits?: { readonly stalledMs: number; readonly heldMs: number };
}

/** Backups of an open database, one at a time: each from a snapshot that is let go of with its reader, however that ends. */
export function createBackups(parts: BackupParts): BackupPort {
  let busy = false;
  return {
    async open({ withKeys }) {
      if (busy)
        throw new AgrinetError(
          'backup-busy',
          'another backup is in progress. Try again when it is finished.',
        );
      busy = true;
      try {
        return await begin(parts, withKeys, () => (busy = false));
      } catch (error) {
        busy = false;
        throw error;
      }
    },
  };
}

async function begin(parts: BackupParts, withKeys: boolean, onReleased: () => void): Promise<ByteSource> {
  const { identity, network, env } = parts;
  const [{ writeBackup }, { BACKUP_FORMAT: format }, { openSnapshot }] = await Promise.all([
    import('../../storage/backup/backup-file.ts'),
    import('../../storage/backup/format.ts'),
    import('../../storage/backup/snapshot.ts'),
  ]);
  const createdAt = env.now();
  const snapshot = await openSnapshot(parts.db.level);
  const { layout, digest } = snapshot;
  const { peerId } = identity;
  const about = { format, layout, agrinetd: VERSION, peerId, network, createdAt } as const;
  const manifest = { ...about, withKeys, digest };
  const chunks = writeBackup(identity, manifest, snapshot.pairs(), (key) => snapshot.position(key));
  return new BackupSource(parts, chunks, () => snapshot.close().finally(onReleased));
}

/** One backup while it is read. Its snapshot is let go of at the end, when the reader goes, and when the reader takes too long. */
class BackupSource implements ByteSource {
  readonly #parts: BackupParts;
  readonly #chunks: AsyncGenerator<Uint8Array, void>;
  readonly #close: () => Promise<void>;
  readonly #limits: NonNullable<BackupParts['limits']>;
  readonly #held: Timer;
  #stalled: Timer;
  #failure: AgrinetError | undefined;
  #released: Promise<void> | undefined;

  constructor(parts: BackupParts, chunks: AsyncGenerator<Uint8Array, void>, close: () => Promise<void>) {
    this.#parts = parts;
    this.#chunks = chunks;
    this.#close = close;
    this.#limits = parts.limits ?? SNAPSHOT_LIMITS;
    this.#held = parts.env.after(this.#limits.heldMs, () => this.#giveUp('it took too long'));
    this.#stalled = this.#waitForReader();
  }

  async next(): ReturnType<ByteSource['next']> {
    this.#stalled.cancel();
    try {
      if (this.#failure !== undefined) throw this.#failure;
      const { done, value } = await this.#chunks.next();
      if (done !== true) {
        this.#stalled = this.#waitForReader();
        return { done: false, value };
      }
      await this.#release();
      this.#parts.onTaken();
      return { done: true, value: undefined };
    } catch (error) {
      await this.#release();
      throw this.#failure ?? error;
    }
  }

  async return(): Promise<void> {
    await this.#release();
    await this.#chunks.return(undefined);
  }

  #waitForReader(): Timer {
    return this.#parts.env.after(this.#limits.stalledMs, () => this.#giveUp('nobody reads it any more'));
  }

  #giveUp(why: string): void {
    this.#failure = new AgrinetError('backup-stalled', `the backup was aborted: ${why}`);
    void this.#release().catch(() => undefined); // the database is being closed, and the snapshot with it
  }

  #release(): Promise<void> {
    this.#stalled.cancel();
    this.#held.cancel();
    this.#released ??= this.#close();
    return this.#released;
  }
}

/** A source for a reader in this process. */
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
