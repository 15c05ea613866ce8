import { SCRUB_LIMITS } from './limits.ts';

/**
 * Pauses so long that all of it is a small share of a core, by the CPU time that passed while it worked. Of the whole process, since
 * LevelDB reads on threads of its own.
 */
export function paced(pause: (ms: number) => Promise<void>): () => Promise<void> {
  let before = process.cpuUsage();
  let owed = 0;
  return async () => {
    const { user, system } = process.cpuUsage(before);
    const more = ((user + system) / 1000) * (1 / SCRUB_LIMITS.share - 1);
    owed = Math.min(owed + more, SCRUB_LIMITS.owedMaxMs);
    const ms = Math.min(owed, SCRUB_LIMITS.pauseMaxMs);
    owed -= ms;
    await pause(ms);
    before = process.cpuUsage();
  };
}
