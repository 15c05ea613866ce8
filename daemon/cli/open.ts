import { Command } from 'commander';
import { readSettings } from '../secrets.ts';
import { answerOf, connect } from './client.ts';
import { JSON_OPTION, type JsonFlag, localTime, printJson, printLine } from './output.ts';

/** `agrinet open`: a link that signs a browser in as the operator. */
export function openCommand(): Command {
  return new Command('open')
    .description('print a link that opens the pages of this node in a browser, signed in; it works once')
    .option(...JSON_OPTION)
    .action(async ({ json }: JsonFlag) => {
      const settings = readSettings();
      const { api } = connect(settings);
      const { path, expiresAt } = await answerOf(api.api.sessions.links.$post());
      const { backendUrl, publicUrl } = settings;
      const urls = [backendUrl, ...(publicUrl === undefined ? [] : [publicUrl])].map(
        (each) => new URL(path, each).href,
      );
      if (json) return printJson({ urls, expiresAt });
      for (const url of new Set(urls)) printLine(url);
      printLine(`It works once, until ${localTime(expiresAt)}.`);
    });
}
