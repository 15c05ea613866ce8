import { Command, Option } from 'commander';
import { JOB_STATES, type JobState } from '../../api/ports/jobs.ts';
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

/** `agrinet jobs`: how many there are and which, and dead ones tried again. */
export function jobsCommand(): Command {
  const command = new Command('jobs').description(
    'list and retry jobs of the daemon: syncs, notifications, SMS, webhooks',
  );
  command
    .command('list', { isDefault: true })
    .description('show job counts and the latest jobs')
    .addOption(new Option('--state <state>', 'only jobs in this state').choices([...JOB_STATES]))
    .option(...JSON_OPTION)
    .action(async ({ state, json }: JsonFlag & { state?: JobState }) => {
      const daemon = connect().api;
      const found = await answerOf(
        daemon.jobs.$get({ query: { limit: '50', ...(state === undefined ? {} : { state }) } }),
      );
      if (json) return printJson(found);
      const { ok, detail, counts } = await answerOf(daemon.jobs.health.$get());
      printLine(
        Object.entries(counts)
          .map(([name, count]) => `${count} ${printable(name, 20)}`)
          .join(', '),
      );
      if (!ok) printLine(`degraded: ${printable(detail, 400)}`);
      if (found.jobs.length === 0) return;
      const rows = found.jobs.map((each) => [
        printable(each.id, 64),
        printable(each.key.startsWith(each.name) ? each.key : each.name, 80),
        each.state === 'delayed' ? `delayed until ${localTime(each.runAt)}` : printable(each.state, 20),
        `${each.attempts}/${each.maxAttempts}`,
        each.error === undefined ? '-' : printable(each.error.message),
      ]);
      printLine(boxTable(['Job', 'Type', 'State', 'Attempts', 'Last error'], rows));
    });
  command
    .command('retry <id>')
    .description('retry a dead job')
    .option(...JSON_OPTION)
    .action(async (id: string, form: JsonFlag) => {
      const job = await answerOf(
        connect().api.jobs[':id'].retry.$post({ param: { id: encodeURIComponent(id) } }),
      );
      printAnswer(job, form, ({ state }) => `${printable(id)}: ${printable(state)}`);
    });
  return command;
}
