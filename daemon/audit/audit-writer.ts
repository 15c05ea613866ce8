import { type AuditEvent, type AuditHead, type AuditLine, nextLine } from '../../protocols/audit/chain.ts';
import type { Env, Timer } from '../../protocols/env.ts';
import type { AuditTable } from '../../storage/audit-table.ts';

export const AUDIT_LIMITS = {
  /** Lines kept; what retention drops leaves its head behind. */
  lines: 200_000,
  /** Dropped at once: a rare, larger batch rather than one for each line. */
  dropped: 10_000,
  /** Lines waiting for a disk that does not write; beyond it the oldest are dropped, and a line says so. */
  waiting: 10_000,
  /** Characters of a note. */
  noteChars: 1000,
} as const;

/** How long a failed write waits. */
const AGAIN_MS = 2000;
/** Lines of one write. */
const BATCH = 256;

export interface AuditWriterParts {
  readonly table: AuditTable;
  readonly env: Pick<Env, 'now' | 'after'>;
  readonly onFailure: (error: unknown, waiting: number) => void;
}

/** Chains events to lines and writes them in order, soon. */
export class AuditWriter {
  readonly #parts: AuditWriterParts;
  readonly #waiting: AuditEvent[] = [];
  #head: AuditHead;
  #base: AuditHead;
  /** Dropped events that no line reports yet. */
  #lost = 0;
  #writing: Promise<void> | undefined;
  #timer: Timer | undefined;

  private constructor(parts: AuditWriterParts, head: AuditHead, base: AuditHead) {
    this.#parts = parts;
    this.#head = head;
    this.#base = base;
  }

  static async open(parts: AuditWriterParts): Promise<AuditWriter> {
    return new AuditWriter(parts, await parts.table.head(), await parts.table.base());
  }

  /** The last line that is on disk. */
  get head(): AuditHead {
    return this.#head;
  }

  /** The line before the first that is kept. */
  get base(): AuditHead {
    return this.#base;
  }

  /** Never blocks and never throws. */
  record(event: AuditEvent): void {
    const { note } = event;
    this.#waiting.push(
      note === undefined ? event : { ...event, note: note.slice(0, AUDIT_LIMITS.noteChars) },
    );
    if (this.#waiting.length > AUDIT_LIMITS.waiting) {
      this.#waiting.shift();
      this.#lost++;
    }
    void this.flush();
  }

  /** Resolves when what waits is written, or could not be: then it is tried again. */
  flush(): Promise<void> {
    this.#timer?.cancel();
    this.#writing ??= this.#writeAll()
      .catch((error: unknown) => {
        this.#parts.onFailure(error, this.#waiting.length);
        this.#timer = this.#parts.env.after(AGAIN_MS, () => void this.flush());
      })
      .finally(() => (this.#writing = undefined));
    return this.#writing;
  }

  async stop(): Promise<void> {
    await this.flush();
    this.#timer?.cancel();
  }

  async #writeAll(): Promise<void> {
    const { table, env } = this.#parts;
    while (this.#waiting.length > 0 || this.#lost > 0) {
      const events = this.#waiting.slice(0, BATCH);
      const gone = this.#lost;
      if (gone > 0) {
        const note = `${gone} lines could not be written and were given up`;
        events.unshift({ kind: 'operator', actor: 'node', note });
      }
      const lines: AuditLine[] = [];
      let end = this.#head;
      for (const event of events) {
        const line = nextLine(end, event, env.now());
        lines.push(line);
        end = { no: line.no, hash: line.hash };
      }
      await table.append(lines);
      this.#head = end;
      this.#waiting.splice(0, events.length - (gone > 0 ? 1 : 0));
      this.#lost -= gone;
    }
    if (this.#head.no - this.#base.no > AUDIT_LIMITS.lines + AUDIT_LIMITS.dropped) await this.#dropOld();
  }

  async #dropOld(): Promise<void> {
    const { table } = this.#parts;
    for await (const line of table.read(this.#head.no - AUDIT_LIMITS.lines)) {
      this.#base = { no: line.no, hash: line.hash };
      break;
    }
    await table.drop(this.#base);
  }
}
