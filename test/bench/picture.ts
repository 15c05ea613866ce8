import chalk from 'chalk';
import Table from 'cli-table3';
import { isMet, RATIOS, valueOf, type Figures } from './targets.ts';

const COLUMNS = [
  ['writes/s', 'writesPerS'],
  ['catch-up/s', 'catchUpPerS'],
  ['wire B/rec', 'wireBytesPerRecord'],
  ['disk B/rec', 'diskBytesPerRecord'],
  ['live p50 ms', 'liveP50Ms'],
  ['live p99 ms', 'liveP99Ms'],
  ['burst/s', 'burstPerS'],
  ['RSS MB writer', 'rssWriterMB'],
  ['RSS MB reader', 'rssReaderMB'],
] as const;
const SYSTEMS = ['agrinetd', 'hypercore', 'hypercore 64', 'automerge-repo', 'yjs'];
/** Figures that stand in the table of systems under a name of their own. */
const ALIASES = new Map([['agrinetd.writesPerS', 'http.postPerS']]);
/** Width of a bar that just meets its target; twice that is the end of the scale. */
const TARGET_WIDTH = 20;

/** Three or four digits of a number, with thousands separated. */
export function short(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return '-';
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** The whole report as text: the systems beside one another, the other figures, the ratios with a bar each. */
export function picture(figures: Figures): string {
  return [systems(figures), others(figures), ratios(figures)].filter((part) => part !== '').join('\n\n');
}

function systems(figures: Figures): string {
  const table = new Table({
    head: ['', ...COLUMNS.map(([title]) => title)],
    style: { head: [], border: [] },
  });
  for (const system of SYSTEMS) {
    const keys = COLUMNS.map(([, figure]) => `${system}.${figure}`);
    const cells = keys.map((key) => short(figures.get(ALIASES.get(key) ?? key)));
    if (cells.some((cell) => cell !== '-')) table.push([system, ...cells]);
  }
  return table.length === 0 ? '' : table.toString();
}

function others(figures: Figures): string {
  const shown = new Set(SYSTEMS.flatMap((system) => COLUMNS.map(([, figure]) => `${system}.${figure}`)));
  const rest = [...figures].filter(([key]) => !shown.has(key));
  const width = Math.max(0, ...rest.map(([key]) => key.length));
  return rest.map(([key, value]) => `${key.padEnd(width)}  ${short(value).padStart(10)}`).join('\n');
}

function ratios(figures: Figures): string {
  const measured = RATIOS.flatMap((ratio) => {
    const value = valueOf(ratio, figures);
    return value === undefined ? [] : [{ ratio, value }];
  });
  const width = Math.max(...measured.map(({ ratio }) => ratio.title.length));
  const lines = measured.map(({ ratio, value }) => {
    const met = isMet(ratio, value);
    const bar = ratio.target === undefined ? '' : barOf(value / ratio.target);
    const colour = met === undefined ? chalk.dim : met ? chalk.green : chalk.yellow;
    const target = ratio.target === undefined ? 'no target' : `target ${ratio.sense} ${ratio.target}`;
    const verdict = met === undefined ? '' : met ? 'met' : 'not met';
    const text = `${ratio.title.padEnd(width)}  ${short(value).padStart(8)}  `;
    return `${text}${colour(bar.padEnd(2 * TARGET_WIDTH + 2))} ${target} ${verdict}`.trimEnd();
  });
  return [chalk.bold('Ratios (| is the target; a bar past the end is cut with >)'), ...lines].join('\n');
}

function barOf(share: number): string {
  const length = Math.min(2 * TARGET_WIDTH, Math.max(0, Math.round(share * TARGET_WIDTH)));
  const filled = '█'.repeat(length).padEnd(2 * TARGET_WIDTH);
  const cut = share > 2 ? '>' : ' ';
  return `${filled.slice(0, TARGET_WIDTH)}|${filled.slice(TARGET_WIDTH)}${cut}`;
}
