import { afterAll, beforeAll, expect, it } from 'vitest';
import { followOutcomes } from '../../../daemon/federation/sync-outcomes.ts';
import { HttpTarget } from '../../../daemon/federation/http-target.ts';
import { ReliabilityCounts } from '../../../daemon/market/reliability.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { ERROR_CODES, isErrorCode, isSendersFault } from '../../../protocols/error-codes.ts';
import { Offences } from '../../../protocols/mycelium/offences.ts';
import { reliabilityTable } from '../../../storage/node-tables.ts';
import { type ExchangeNode, startExchangeNode } from '../../support/exchange-node.ts';

const NOTHING = { received: 0, imported: 0, unchanged: 0, refused: 0, bytes: 0 } as const;
const FREE_TEXT = 'call 555 0100 for cheaper beans';
const CODES = Object.keys(ERROR_CODES).filter(isErrorCode);

let node: ExchangeNode;
let source: string;
let reliability: ReliabilityCounts;
const offences = new Offences();
const alarms: unknown[] = [];
/** What an operator, a stranger or a listener is shown of syncs that failed. */
const shown: (string | undefined)[] = [];

beforeAll(async () => {
  node = await startExchangeNode();
  const other = await startExchangeNode();
  source = other.identity.peerId;
  node.befriend(other);
  await other.stop();
  node.trustEveryone = ['read', 'worker'];
  reliability = await ReliabilityCounts.open({
    table: reliabilityTable(node.ledgerNode.db),
    isKnown: (id) => id === source,
    env: { ...systemEnv, now: () => 1000 },
    onFailure: (error) => shown.push(String(error)),
  });
});
afterAll(async () => {
  await reliability.stop();
  await node.stop();
});

const follow = followOutcomes({
  reliability: { synced: (...told) => reliability.synced(...told) },
  reach: { contact: () => undefined },
  offences,
  alarm: (alarm) => alarms.push(alarm),
  events: { emit: (_, data) => shown.push(JSON.stringify(data)) },
  registration: {
    noteSync: async (_, error) => {
      shown.push(error);
    },
  },
  onFailure: (_, error) => shown.push(String(error)),
  now: () => 1000,
});

const post = (outcome: object): Promise<Response> =>
  node.fetch('/federation/synced', {
    method: 'POST',
    scopes: ['read', 'worker'],
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ source, outcome }),
  });

/** Lets follow what the node was last told. */
function followLast(): void {
  const last = node.outcomes.at(-1);
  if (last === undefined) throw new Error('nothing was noted');
  follow(last.id, last.outcome, last.reporter);
}

it('no code that a worker can name distrusts a source or counts as an invalid entry', async () => {
  for (const code of CODES) {
    const answer = await post({ ...NOTHING, error: { code, message: FREE_TEXT } });
    expect(answer.status, code).toBe(200);
    followLast();
    expect(offences.isOut(source, 1000), code).toBe(false);
    expect((await node.table.get(source))?.error?.code).toBe(code);
  }
  expect(alarms).toEqual([]);
  expect(reliability.of(source)).toMatchObject({ syncsFailed: CODES.length, invalidEntries: 0 });
});

it('the sentence that everybody is shown is the node’s own', async () => {
  await post({ ...NOTHING, error: { code: 'peer-timeout', message: FREE_TEXT } });
  followLast();
  const row = await node.table.get(source);
  expect(row?.error?.message).toBe('a worker could not sync with it: peer-timeout; see agrinet jobs');
  expect(shown.length).toBeGreaterThan(0);
  expect(JSON.stringify([row, shown, node.outcomes])).not.toContain(FREE_TEXT);
});

it('a code of no version is refused, and nothing is noted', async () => {
  const noted = node.outcomes.length;
  for (const code of ['', 'not-asked-for ', 'NOT-ASKED-FOR', FREE_TEXT, 'toString', '__proto__']) {
    const answer = await post({ ...NOTHING, error: { code } });
    expect(answer.status, code).toBe(400);
  }
  expect(node.outcomes).toHaveLength(noted);
});

it('a worker of this version is understood', async () => {
  const target = new HttpTarget(node.url, 'key', systemEnv);
  await target.noteSync(source, { ...NOTHING, error: { code: 'not-asked-for', message: FREE_TEXT } });
  expect(node.outcomes.at(-1)).toMatchObject({
    reporter: 'worker',
    outcome: { error: { code: 'not-asked-for' } },
  });
  expect(JSON.stringify(node.outcomes)).not.toContain(FREE_TEXT);
});

it('what the daemon has met itself does', async () => {
  const before = reliability.of(source).invalidEntries;
  const code = 'not-asked-for';
  expect(isSendersFault(code)).toBe(true);
  await node.exchange.target.noteSync(source, { ...NOTHING, error: { code, message: 'its own words' } });
  followLast();
  expect(offences.isOut(source, 1000)).toBe(true);
  expect(alarms).toHaveLength(1);
  expect(reliability.of(source).invalidEntries).toBe(before + 1);
});
