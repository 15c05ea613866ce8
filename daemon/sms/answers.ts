/** A request by SMS. */
export type Answer =
  | { readonly kind: 'accept' | 'refuse'; readonly code: string }
  | { readonly kind: 'stop' | 'start' };

const ACCEPT: ReadonlySet<string> = new Set(['YES', 'NDIYO']);
const REFUSE: ReadonlySet<string> = new Set(['NO', 'HAPANA']);
/** Twilio acts on these by itself and answers them; alone, YES is one of them. */
const STOP: ReadonlySet<string> = new Set([
  'STOP',
  'STOPALL',
  'UNSUBSCRIBE',
  'CANCEL',
  'END',
  'QUIT',
  'REVOKE',
  'OPTOUT',
]);
const START: ReadonlySet<string> = new Set(['START', 'UNSTOP', 'YES']);

/** Reads an SMS: `YES 123456`, in any case and with any spaces. Undefined for everything else. */
export function answerIn(text: string): Answer | undefined {
  const said = text.normalize('NFKC').trim().toUpperCase();
  if (STOP.has(said)) return { kind: 'stop' };
  if (START.has(said)) return { kind: 'start' };
  const [, word = '', code = ''] = /^([A-Z]+)[\s:,.-]*([0-9]{6})[.!]?$/.exec(said) ?? [];
  if (ACCEPT.has(word)) return { kind: 'accept', code };
  return REFUSE.has(word) ? { kind: 'refuse', code } : undefined;
}
