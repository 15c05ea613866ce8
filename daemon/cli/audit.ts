import { Command } from 'commander';
import { AgrinetError } from '../../protocols/errors.ts';
import { answerOf, connect } from './client.ts';
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

/** `agrinet audit`: the newest lines of the audit log, and the check of its chain. */
export function auditCommand(): Command {
  const command = new Command('audit').description('show and verify the audit log');
  command
    .command('list', { isDefault: true })
    .description('list the latest entries')
    .option('--transaction <id>', 'only entries for this contract or conversation')
    .option(...JSON_OPTION)
    .action(async ({ transaction, ...form }: JsonFlag & { transaction?: string }) => {
      const query = { limit: '50', ...(transaction === undefined ? {} : { transactionId: transaction }) };
      printAnswer(await answerOf(connect().api.logs.$get({ query })), form, ({ logs }) => {
        const rows = logs.map((line) => [
          String(line.no),
          localTime(line.timestamp),
          printable(line.action),
          printable(line.actorId, 40),
          printable(line.note ?? line.subject ?? JSON.stringify(line.detail ?? {}), 160),
        ]);
        return boxTable(['No', 'Time', 'Action', 'Actor', 'Note'], rows);
      });
    });
  command
    .command('verify')
    .description('verify the whole hash chain against the heads signed in the feed')
    .option(...JSON_OPTION)
    .action(async (options: { json?: true }) => {
      const { lines, head, problems } = await answerOf(connect().api.logs.verify.$get());
      if (options.json) printJson({ lines, head, problems });
      const [first] = problems;
      if (first !== undefined)
        throw new AgrinetError(
          'audit-broken',
          `line ${first.line} of the audit log: ${first.problem} (problems in total: ${problems.length})`,
        );
      if (!options.json) printLine(`Audit log intact: ${lines} lines, up to line ${head.no} (${head.hash}).`);
    });
  return command;
}
