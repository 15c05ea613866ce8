import { errorCode } from '../../../protocols/errors.ts';

/** What work comes to: `accepted`, or the code that it throws. */
export function outcomeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return errorCode(error);
  }
  return 'accepted';
}
