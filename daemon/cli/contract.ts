import { open } from 'node:fs/promises';
import { Command } from 'commander';
import { AgrinetError, errorMessage, systemCode } from '../../protocols/errors.ts';
import type { DealNote } from '../../protocols/market/deal-note/note.ts';
import {
  type Finding,
  NOTE_LIMITS,
  type NoteVerdict,
  verifyNote,
  verifyNoteValue,
} from '../../protocols/market/deal-note/verify.ts';
import { boxTable } from './box-table.ts';
import { JSON_OPTION, type JsonFlag, printable, printAnswer, printJson, printLine } from './output.ts';

/** Findings that the line of an error names. */
const NAMED = 5;

/** `agrinet contract`: deal notes, from a node or from a file, and whether they hold. */
export function contractCommand(): Command {
  const command = new Command('contract').description('show and verify deal notes');
  const what = 'a contract ID, or the file of a deal note (JSON or HTML)';
  command
    .command('show')
    .description('show the terms of a contract and its steps')
    .argument('<what>', what)
    .option(...JSON_OPTION)
    .action(show);
  command
    .command('verify')
    .description(
      'verify every signature of a deal note, and name what was altered or removed; for a file, no daemon is needed',
    )
    .argument('<what>', what)
    .option(...JSON_OPTION)
    .action(verify);
  return command;
}

async function show(what: string, { json }: JsonFlag): Promise<void> {
  const { note, findings } = await verdictOf(what);
  if (note === undefined) throw altered(what, findings);
  printAnswer(note, { json }, noteLines);
  if (findings.length > 0) throw altered(what, findings);
}

async function verify(what: string, { json }: JsonFlag): Promise<void> {
  const { note, findings } = await verdictOf(what);
  if (json)
    printJson({ valid: findings.length === 0, findings, contractId: note?.contractId, state: note?.state });
  else for (const { at, what: why } of findings) printLine(`${printable(at, 120)} ${printable(why, 300)}`);
  if (findings.length > 0) throw altered(what, findings);
  if (note !== undefined && json !== true)
    printLine(
      `Valid: ${note.steps.length} steps of contract ${printable(note.contractId, 160)}, all signed; the contract is ${note.state}.`,
    );
}

/** The note of a file, or else of the daemon's contract of that id, with all that is wrong with it. */
async function verdictOf(what: string): Promise<NoteVerdict> {
  const text = (await fileText(what)) ?? (await noteFromDaemon(what));
  return text.trimStart().startsWith('<') ? verifyPage(text) : verifyNote(text);
}

/** A page shows its own note and nothing else. */
async function verifyPage(text: string): Promise<NoteVerdict> {
  const { dealNotePage, noteInPage } = await import('../../api/deal-note-page.ts');
  const { textDifference } = await import('../../protocols/market/deal-note/differences.ts');
  const verdict = verifyNoteValue(noteInPage(text));
  if (verdict.note === undefined || verdict.findings.length > 0) return verdict;
  const layout = textDifference(text, await dealNotePage(verdict.note));
  return layout === undefined ? verdict : { ...verdict, findings: [layout] };
}

/**
 * The text of a file or pipe; undefined where there is none and an ID may be meant. Throws `usage`, and `note-altered` for what is
 * too large for a note.
 */
async function fileText(path: string): Promise<string | undefined> {
  try {
    return await boundedText(path);
  } catch (error) {
    if (error instanceof AgrinetError) throw error;
    const isNowhere = NOWHERE.has(systemCode(error));
    if (isNowhere && !LIKE_A_FILE.test(path)) return undefined;
    throw new AgrinetError('usage', `cannot read ${path}: ${errorMessage(error)}`, { cause: error });
  }
}

const NOWHERE: ReadonlySet<string> = new Set(['ENOENT', 'ENAMETOOLONG']);
/** No ID has a slash. */
const LIKE_A_FILE = /\/|\.(?:json|html?)$/;

/** Opened once: a pipe that is opened a second time has no writer any more. */
async function boundedText(path: string): Promise<string> {
  const file = await open(path);
  try {
    if ((await file.stat()).isDirectory()) throw new Error('is a folder');
    const pieces: Buffer[] = [];
    let size = 0;
    for await (const piece of file.createReadStream({ autoClose: false }) as AsyncIterable<Buffer>) {
      size += piece.length;
      if (size > NOTE_LIMITS.fileBytes)
        throw new AgrinetError('note-altered', `${path} is larger than a deal note can be`);
      pieces.push(piece);
    }
    return Buffer.concat(pieces).toString('utf8');
  } finally {
    await file.close();
  }
}

async function noteFromDaemon(id: string): Promise<string> {
  const { connect } = await import('./client.ts');
  const response = await connect().getStream(`/contracts/${encodeURIComponent(id)}/note`);
  return response.text();
}

function altered(what: string, findings: readonly Finding[]): AgrinetError {
  const named = findings
    .slice(0, NAMED)
    .map(({ at, what: why }) => `${printable(at, 80)} ${printable(why, 120)}`);
  const rest = findings.length - named.length;
  return new AgrinetError(
    'note-altered',
    `${printable(what, 160)} does not hold: ${named.join('; ')}${rest > 0 ? `; and ${rest} more` : ''}`,
  );
}

function noteLines(note: DealNote): string {
  const cell = (value: unknown): string =>
    printable(typeof value === 'string' ? value : JSON.stringify(value), 80);
  const clauses = note.clauses.map((clause, i) => [`clause ${i + 1}`, cell(clause)]);
  const terms = Object.entries(note.terms).map(([name, value]) => [printable(name, 40), cell(value)]);
  const steps = note.steps.map(({ step, at, by, kind, standing, hash }) => [
    String(step),
    at,
    by,
    standing === 'late' ? `${kind} (late)` : kind,
    hash.slice(0, 16),
  ]);
  return [
    `Contract ${printable(note.contractId, 160)}: ${note.state}`,
    `Supplier ${printable(note.parties.supplier, 192)}`,
    `Buyer    ${printable(note.parties.buyer, 192)}`,
    boxTable(['Term', 'Agreed'], [...terms, ...clauses]),
    boxTable(['Step', 'Signed at', 'By', 'Step', 'Hash'], steps),
  ].join('\n');
}
