import chalk from 'chalk';
import Table from 'cli-table3';

/** A table in box-drawing lines. Cells from peers go through `printable` first. Coloured on a terminal only. */
export function boxTable(head: string[], rows: readonly string[][]): string {
  const table = new Table({ head: head.map((each) => chalk.bold(each)), style: { head: [], border: [] } });
  table.push(...rows);
  return table.toString();
}
