/** Milliseconds between two looks that cost nothing, at first. */
const PAUSE_MS = 20;
/** The pause after a look is so many times as long as the look took, so that looking leaves the processor to what is waited for. */
const REST = 4;
/** What was waited for so long is not there the next moment: the pause becomes this share of the wait until then. */
const OF_THE_WAIT = 0.1;
const LONGEST_PAUSE_MS = 250;

/** Polls until the check gives a value; fails with the message after the bound. The wait between looks is short and bounded. */
export async function waitFor<T>(
  what: string,
  check: () => Promise<T | undefined | false> | T | undefined | false,
  ms = 10_000,
): Promise<T> {
  const start = performance.now();
  for (;;) {
    const began = performance.now();
    const value = await check();
    if (value !== undefined && value !== false) return value;
    const looked = performance.now();
    if (looked > start + ms) throw new Error(`waited ${ms} ms in vain for ${what}`);
    const rest = Math.max(PAUSE_MS, (looked - began) * REST, (looked - start) * OF_THE_WAIT);
    await new Promise<void>((next) => setTimeout(next, Math.min(rest, LONGEST_PAUSE_MS)));
  }
}
