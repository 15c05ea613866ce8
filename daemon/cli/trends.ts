import { Command } from 'commander';
import { AgrinetError } from '../../protocols/errors.ts';
import { parsePeerId } from '../../protocols/wire/identity.ts';
import { answerOf, connect, type DaemonClient } from './client.ts';
import { boxTable } from './box-table.ts';
import {
  JSON_OPTION,
  type JsonFlag,
  localTime,
  printable,
  printAnswer,
  printJson,
  printLine,
} from './output.ts';

/** `agrinet trends`: price movements, published snapshots, and the check of what others have published. */
export function trendsCommand(): Command {
  const command = new Command('trends').description('show and verify price trends');
  command
    .command('show', { isDefault: true })
    .description('show how prices have moved, from the prices this node holds')
    .option('--region <name>', 'only this region or market')
    .option('--commodity <name>', 'only this commodity')
    .option('--window <periods>', 'how far back: 1, 2w, 3m, 1y', '1')
    .option(...JSON_OPTION)
    .action(show);
  command
    .command('publish')
    .description('publish a snapshot now, if anything has changed since the last one')
    .option(...JSON_OPTION)
    .action(publish);
  command
    .command('verify')
    .description("recompute published snapshots from the prices held here: by default each node's latest")
    .argument('[what]', 'a peer ID for that node’s latest snapshot, or a snapshot ID')
    .option(JSON_OPTION[0], 'print one line of JSON per snapshot')
    .action(verify);
  return command;
}

interface ShowOptions extends JsonFlag {
  readonly region?: string;
  readonly commodity?: string;
  readonly window: string;
}

async function show({ json, ...query }: ShowOptions): Promise<void> {
  const report = await answerOf(connect().api.trends.$get({ query }));
  printAnswer(report, { json }, ({ summary, topSignals }) => {
    const rows = topSignals.map((signal) => [
      printable(signal.commodity, 40),
      signal.kind,
      `${signal.changePct > 0 ? '+' : ''}${signal.changePct} %`,
      `${signal.from.median} → ${signal.to.median} ${printable(`${signal.currency}/${signal.unit}`, 24)}`,
      `${printable(signal.from.period)} → ${printable(signal.to.period)}`,
      String(signal.confidence),
      String(signal.sampleSize),
    ]);
    const head = ['Commodity', 'Prices', 'Change', 'Medians', 'Periods', 'Confidence', 'Markets'];
    return [printable(summary, 300), ...(rows.length === 0 ? [] : [boxTable(head, rows)])].join('\n');
  });
}

async function publish({ json }: JsonFlag): Promise<void> {
  const made = await answerOf(connect().api.trends.snapshots.$post());
  printAnswer(made, { json }, ({ published, reason, trendId }) => {
    if (published) return `Published ${printable(trendId ?? '', 160)}`;
    if (reason === 'no-prices') return 'Nothing published: this node holds no prices.';
    return `Nothing has changed since ${printable(trendId ?? 'the last snapshot', 160)}`;
  });
}

async function verify(what: string | undefined, { json }: JsonFlag): Promise<void> {
  const { api } = connect();
  const verdicts = await verdictsOf(api, await chosen(api, what));
  if (json) for (const each of verdicts) printJson(each);
  else printLine(verdicts.length === 0 ? 'This node holds no snapshots.' : verdictTable(verdicts));
  const wrong = verdicts.filter(({ verdict }) => verdict === 'differs' || verdict === 'malformed');
  const [first] = wrong;
  if (first !== undefined)
    throw new AgrinetError(
      'trends-differ',
      `${wrong.length} of ${verdicts.length} snapshots failed verification: ${printable(first.trendId, 160)}: ${printable(first.detail, 160)}`,
    );
}

function verdictTable(verdicts: Awaited<ReturnType<typeof verdictsOf>>): string {
  return boxTable(
    ['Owner', 'Published', 'Verdict', 'Detail'],
    verdicts.map((each) => [
      printable(each.owner),
      localTime(each.publishedAt),
      each.verdict,
      printable(each.detail, 160),
    ]),
  );
}

type TrendApi = DaemonClient['api'];

async function verdictsOf(api: TrendApi, ids: readonly string[]) {
  const verdicts = [];
  for (const id of ids)
    verdicts.push(await answerOf(api.trends.snapshots[':id'].verify.$get({ param: { id } })));
  return verdicts;
}

/** Nodes, and pages of snapshots, that are read: one a day for each is usual. */
const NODES = 1024;
const PAGES = 50;

/** Ids to verify: the newest of each owner, or of one. Throws `request-refused`. */
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
    throw new AgrinetError('request-refused', 'this node holds no snapshot from that node');
  return [...newest.values()];
}
