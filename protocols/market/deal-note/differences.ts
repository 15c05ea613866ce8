/** Something of a note that was altered, taken out or put in: where, and what. */
export interface Finding {
  readonly at: string;
  readonly what: string;
}

/** Findings reported for one note. */
const MOST = 50;
/** Characters of a value that are reported. */
const TOLD = 80;

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Where a file differs from its evidence, by the path of each value. */
export function differences(file: unknown, proven: unknown): Finding[] {
  const findings: Finding[] = [];
  compare(file, proven, '', findings);
  return findings.slice(0, MOST);
}

function compare(file: unknown, proven: unknown, at: string, findings: Finding[]): void {
  if (findings.length >= MOST) return;
  const [one, other] = [childrenOf(file), childrenOf(proven)];
  if (one === undefined || other === undefined || Array.isArray(file) !== Array.isArray(proven)) {
    if (!Object.is(file, proven))
      findings.push({ at: at || 'file', what: `is ${told(file)}, but ${told(proven)} was signed` });
    return;
  }
  for (const name of new Set([...one.keys(), ...other.keys()])) {
    const place = Array.isArray(proven) ? `${at}[${name}]` : at === '' ? name : `${at}.${name}`;
    if (!one.has(name)) findings.push({ at: place, what: `was taken out: ${told(other.get(name))}` });
    else if (!other.has(name)) findings.push({ at: place, what: `was put in: ${told(one.get(name))}` });
    else compare(one.get(name), other.get(name), place, findings);
  }
}

function childrenOf(value: unknown): Map<string, unknown> | undefined {
  return typeof value === 'object' && value !== null ? new Map(Object.entries(value)) : undefined;
}

function told(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > TOLD ? `${text.slice(0, TOLD)}…` : text;
}

/** The first line in which a text is not the one that it should be; undefined for equal texts. */
export function textDifference(text: string, proven: string): Finding | undefined {
  if (text === proven) return undefined;
  const [lines, expected] = [text.split('\n'), proven.split('\n')];
  const line = expected.findIndex((each, i) => each !== lines[i]);
  const no = line < 0 ? expected.length : line;
  return {
    at: `line ${no + 1}`,
    what: `is ${told(lines[no] ?? '')}, but ${told(expected[no] ?? '')} was written`,
  };
}
