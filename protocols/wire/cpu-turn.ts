/** CPU that one piece of work takes of the main thread before timers and sockets have their turn, milliseconds. */
const TURN_MS = 8;

/**
 * Lets work on what others have sent give way by the CPU time it has used: promises alone starve timers and sockets, and a pause
 * for every item would cost more than most items.
 */
export class CpuTurn {
  #since = process.threadCpuUsage();

  /** Waits for a turn of the event loop when this one has been used up; otherwise costs next to nothing. */
  async pause(): Promise<void> {
    const { user, system } = process.threadCpuUsage(this.#since);
    if (user + system < TURN_MS * 1000) return;
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#since = process.threadCpuUsage();
  }
}
