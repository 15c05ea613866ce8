/** One metric of the text format, with its samples. */
export interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    value: number;
  }[];
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/;

/**
 * Reads the text format 0.0.4 strictly: HELP and TYPE before the samples of a family, each family once, names and labels
 * as they may be, no series twice, histograms with rising buckets up to `+Inf` that agree with their count. Throws at the first fault.
 */
export function parsePrometheus(text: string): Map<string, Family> {
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  const families = new Map<string, Family>();
  const seen = new Set<string>();
  let help: { name: string; text: string } | undefined;
  let current: Family | undefined;
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const fault = (why: string): Error => new Error(`${why}: ${line}`);
    const [, kind, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (kind !== undefined && !NAME.test(name)) throw fault('not a name');
    if (kind === 'HELP') help = { name, text: rest };
    else if (kind === 'TYPE') {
      if (help?.name !== name) throw fault('a TYPE without its HELP');
      if (families.has(name)) throw fault('a family twice');
      if (!/^(counter|gauge|histogram|summary|untyped)$/.test(rest)) throw fault('not a type');
      current = { name, type: rest, help: help.text, samples: [] };
      families.set(name, current);
    } else if (line.startsWith('#')) throw fault('neither HELP nor TYPE');
    else {
      const [, sample = '', labelText = '', valueText = ''] = SAMPLE.exec(line) ?? [];
      if (current === undefined || sample === '') throw fault('not a sample');
      const suffix = sample.slice(current.name.length);
      const allowed = current.type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
      if (!sample.startsWith(current.name) || !allowed.includes(suffix))
        throw fault('a sample outside its family');
      if (seen.has(`${sample}{${labelText}}`)) throw fault('a series twice');
      seen.add(`${sample}{${labelText}}`);
      const value = Number(valueText.replace(/^([+-]?)Inf$/, '$1Infinity'));
      // Prometheus reads values as Go does, in any case of letters; the library writes `Nan`.
      if (Number.isNaN(value) && !/^nan$/i.test(valueText)) throw fault('not a value');
      current.samples.push({ name: sample, labels: labelsOf(labelText, fault), value });
    }
  }
  for (const family of families.values()) if (family.type === 'histogram') checkHistogram(family);
  return families;
}

function labelsOf(text: string, fault: (why: string) => Error): Record<string, string> {
  const labels: Record<string, string> = {};
  for (let rest = text; rest !== '';) {
    const [whole = '', name = '', value = ''] = LABEL.exec(rest) ?? [];
    if (whole === '' || name in labels) throw fault('not a list of labels');
    labels[name] = value;
    rest = rest.slice(whole.length);
  }
  return labels;
}

function checkHistogram({ name, samples }: Family): void {
  const series = new Map<string, { le: number; value: number }[]>();
  for (const { name: sample, labels, value } of samples) {
    if (!sample.endsWith('_bucket')) continue;
    const { le = '', ...others } = labels;
    const key = JSON.stringify(others);
    series.set(key, [...(series.get(key) ?? []), { le: Number(le.replace('+Inf', 'Infinity')), value }]);
  }
  for (const [key, buckets] of series) {
    buckets.forEach(({ le, value }, i) => {
      const before = buckets[i - 1];
      if (before !== undefined && (le <= before.le || value < before.value))
        throw new Error(`${name}: buckets do not rise`);
    });
    const last = buckets.at(-1);
    const count = samples.find(
      (each) => each.name === `${name}_count` && JSON.stringify(each.labels) === key,
    );
    if (last?.le !== Infinity || last.value !== count?.value)
      throw new Error(`${name}: the last bucket is not the count`);
  }
}

/** The value of a series, the sum of those that fit the labels given; 0 without any. */
export function valueOf(
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const family = families.get(name) ?? families.get(name.replace(/_(count|sum|bucket)$/, ''));
  return (family?.samples ?? [])
    .filter(
      (each) =>
        each.name === name && Object.entries(labels).every(([label, value]) => each.labels[label] === value),
    )
    .reduce((sum, { value }) => sum + value, 0);
}
