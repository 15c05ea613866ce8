import { Command } from 'commander';
import { AgrinetError } from '../../protocols/errors.ts';
import { parsePeerId } from '../../protocols/wire/identity.ts';
import { readSettings } from '../secrets.ts';
import { answerOf, connect, type DaemonClient } from './client.ts';
import { boxTable, localTime, printable, printJson, printLine } from './output.ts';

/** `agrinet trends`: price movements, published snapshots, and the check of what others have published. */
export function trendsCommand(): Command {
  const command = new Command('trends')
    .description('price movements, and the snapshots of them that nodes publish')
    .exitOverride();
  command
    .command('show', { isDefault: true })
    .description('how prices have moved, from what this node holds')
    .option('--region <name>', 'a region or a market')
    .option('--commodity <name>', 'one commodity')
    .option('--window <periods>', 'how far back: 1, 2w, 3m, 1y', '1')
    .option('--json', 'print what the daemon answers')
    .action(async (options: { region?: string; commodity?: string; window: string; json?: true }) => {
      const { json, ...query } = options;
      const report = await answerOf(connect(readSettings()).api.trends.$get({ query }));
      if (json) {
        printJson(report);
        return;
      }
      printLine(printable(report.summary, 300));
      if (report.topSignals.length === 0) return;
      const rows = report.topSignals.map((signal) => [
        printable(signal.commodity, 40),
        `${signal.changePct > 0 ? '+' : ''}${signal.changePct} %`,
        `${signal.from.median} → ${signal.to.median} ${printable(`${signal.currency}/${signal.unit}`, 24)}`,
        `${printable(signal.from.period)} → ${printable(signal.to.period)}`,
        String(signal.confidence),
        String(signal.sampleSize),
      ]);
      printLine(boxTable(['Commodity', 'Change', 'Medians', 'Periods', 'Confidence', 'Markets'], rows));
    });
  command
    .command('publish')
    .description('publish a snapshot now, unless nothing has changed since the last')
    .option('--json', 'print what the daemon answers')
    .action(async (options: { json?: true }) => {
      const made = await answerOf(connect(readSettings()).api.trends.snapshots.$post());
      if (options.json) printJson(made);
      else if (made.published) printLine(`Published ${printable(made.trendId ?? '', 160)}`);
      else
        printLine(
          made.reason === 'no-prices'
            ? 'Nothing published: no prices are held here.'
            : `Nothing has changed since ${printable(made.trendId ?? 'the last snapshot', 160)}`,
        );
    });
  command
    .command('verify')
    .description(
      'make snapshots again from the prices held here: the newest of each node, of one node, or one',
    )
    .argument('[what]', 'a peer id, or the id of a snapshot')
    .option('--json', 'print what the daemon answers, a line for each')
    .action(async (what: string | undefined, options: { json?: true }) => {
      const { api } = connect(readSettings());
      const verdicts = await verdictsOf(api, await chosen(api, what));
      if (options.json) for (const each of verdicts) printJson(each);
      else if (verdicts.length === 0) printLine('No snapshots are held here.');
      else
        printLine(
          boxTable(
            ['Owner', 'Published', 'Verdict', 'Detail'],
            verdicts.map((each) => [
              printable(each.owner),
              localTime(each.publishedAt),
              each.verdict,
              printable(each.detail, 160),
            ]),
          ),
        );
      const wrong = verdicts.filter(({ verdict }) => verdict === 'differs' || verdict === 'malformed');
      const [first] = wrong;
      if (first !== undefined)
        throw new AgrinetError(
          'trends-differ',
          `${wrong.length} of ${verdicts.length} snapshots do not hold: ${printable(first.trendId, 160)}: ${printable(first.detail, 160)}`,
        );
    });
  return command;
}

type TrendApi = DaemonClient['api'];

async function verdictsOf(api: TrendApi, ids: readonly string[]) {
  const verdicts = [];
  for (const id of ids)
    verdicts.push(await answerOf(api.trends.snapshots[':id'].verify.$get({ param: { id } })));
  return verdicts;
}

/** Nodes, and pages of snapshots, looked at: one a day of each is ordinary. */
const NODES = 1024;
const PAGES = 50;

/** Ids of what is to be verified: the newest of each owner, or of one. Throws `request-refused`. */
async function chosen(api: TrendApi, what: string | undefined): Promise<string[]> {
  const owner = what === undefined ? undefined : parsePeerId(what);
  if (what !== undefined && owner === undefined) return [what];
  const newest = new Map<string, string>();
  let cursor: string | undefined;
  for (let page = 0; page < PAGES; page++) {
    const query = {
      limit: '100',
      ...(owner === undefined ? {} : { owner }),
      ...(cursor === undefined ? {} : { cursor }),
    };
    const found = await answerOf(api.trends.snapshots.$get({ query }));
    for (const { owner: whose, trendId } of found.snapshots)
      if (!newest.has(whose) && newest.size < NODES) newest.set(whose, trendId);
    cursor = found.cursor;
    if (cursor === undefined || (owner !== undefined && newest.size > 0)) break;
  }
  if (owner !== undefined && newest.size === 0)
    throw new AgrinetError('request-refused', 'no snapshot of that node is held here');
  return [...newest.values()];
}
