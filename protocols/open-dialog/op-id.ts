import type { OpId } from './change.ts';

/** An op id as states have it: `counter@actor`. */
export const opIdText = ({ counter, actor }: OpId): string => `${counter}@${actor}`;

export function opIdOf(text: string): OpId {
  const [counter = '', actor = ''] = text.split('@');
  return { counter: Number(counter), actor };
}
