import { SingleBar } from 'cli-progress';

/** Runs a long job with a progress bar, on stderr and only on a terminal. */
export async function withProgress<T>(
  label: string,
  job: (onProgress: (done: number, total: number) => void, rename: (label: string) => void) => Promise<T>,
): Promise<T> {
  const figures = label === '' ? '' : ' {value}/{total}';
  const bar = new SingleBar({
    format: `{label} {bar} {percentage}%${figures} {eta_formatted}`,
    stream: process.stderr,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    hideCursor: true,
  });
  const shown = process.stderr.isTTY === true;
  let shownLabel = label;
  if (shown) bar.start(1, 0, { label });
  try {
    return await job(
      (done, total) => {
        if (!shown) return;
        bar.setTotal(Math.max(total, 1));
        bar.update(done, { label: shownLabel });
      },
      (name) => (shownLabel = name),
    );
  } finally {
    if (shown) bar.stop();
  }
}

/** Runs a job of several steps, each with a progress bar from 0 to 1. */
export function withSteps<T>(
  job: (onProgress: (step: string, done: number) => void) => Promise<T>,
): Promise<T> {
  return withProgress('', (onProgress, rename) =>
    job((step, done) => {
      rename(step);
      onProgress(Math.round(done * 1000), 1000);
    }),
  );
}
