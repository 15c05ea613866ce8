import { html, raw } from 'hono/html';
import type { Scalar } from '../protocols/open-dialog/change.ts';
import type { DealNote, NoteStep, Side } from '../protocols/market/deal-note/note.ts';
import { parsedJson } from '../protocols/wire/json.ts';

type Html = ReturnType<typeof html>;

/** One A4 page, also of the longest terms that can be signed. No script runs, and nothing is loaded. */
const STYLE = `@page{size:A4;margin:11mm}
body{font:9pt/1.3 system-ui,sans-serif;max-width:188mm;margin:0 auto;color:#000;background:#fff}
body.long{font-size:6.5pt;line-height:1.15}body.longest{font-size:4.6pt;line-height:1.15}
h1{font-size:1.6em;margin:0 0 .3em}h2{font-size:1.1em;margin:.7em 0 .2em}p{margin:.2em 0}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.1em .5em .1em 0;border-bottom:1px solid #ccc}
code{font:.85em/1.2 monospace;overflow-wrap:anywhere}.terms{columns:2}.terms p{break-inside:avoid}p,td{overflow-wrap:anywhere}`;

/** Steps shown; the file of the note has all of them. */
const STEPS = 12;
/** Widths of terms and clauses, in ems, above which the letters are small, and smaller: eight thousand W fit on the page as well. */
const LONG = 900;
const LONGEST = 4000;
/** Width of a small letter, in ems. */
const NARROW = 0.55;
/** Marks of the note itself within its page. */
const OPENS = '<script type="application/json" id="deal-note">';
const CLOSES = '</script>';

/** The page of a deal note, with the note itself in it: the same text for the same note. */
export async function dealNotePage(note: DealNote): Promise<string> {
  const { terms, clauses, steps } = note;
  const body = html`<h1>Deal note</h1>
    <p>Contract <code>${note.contractId}</code> · <strong>${note.state}</strong> · network ${note.network}</p>
    <h2>Parties</h2>
    <table>
      ${(['supplier', 'buyer'] as const).map((side) => partyRow(side, note))}
    </table>
    <h2>What was agreed</h2>
    <div class="terms">
      ${Object.entries(terms).map(([name, value]) => html`<p>${name}: <strong>${said(value)}</strong></p>`)}
    </div>
    ${clauses.length === 0 ? '' : html`<p>${clauses.map((clause, i) => html`${i + 1}. ${clauseText(clause)} `)}</p>`}
    <h2>Steps</h2>
    ${stepsTable(steps)}
    <h2>How to check</h2>
    ${note.check.map((line) => html`<p>${line}</p>`)}
    <p>Issued ${note.issued.at} by node <code>${note.issued.by}</code>.</p>`;
  return String(
    await html`<!doctype html>
      <html lang="en">
        <head>
          <meta charset="utf-8" />
          <meta name="viewport" content="width=device-width,initial-scale=1" />
          <title>Deal note ${note.contractId}</title>
          <style>
            ${raw(STYLE)}
          </style>
        </head>
        <body class="${sizeOf(note)}">
          ${body} ${raw(OPENS)}${raw(embedded(note))}${raw(CLOSES)}
        </body>
      </html> `,
  );
}

/** The class of the letters with which all of it fits on the page. */
function sizeOf({ terms, clauses, parties }: DealNote): string {
  const text = JSON.stringify([terms, clauses, parties]);
  // Capitals and whatever is not Latin may be as wide as high; others are half as wide.
  const wide = text.replaceAll(/[\x20-\x40\x5b-\x7e\u00a1-\u024f]/g, '').length;
  const ems = wide + (text.length - wide) * NARROW;
  if (ems > LONGEST) return 'longest';
  return ems > LONG ? 'long' : '';
}

/** No text of a note can end the element that holds it. */
function embedded(note: DealNote): string {
  return JSON.stringify(note).replaceAll('<', '\\u003c');
}

/** The note in a page, parsed; undefined for a text that holds none. */
export function noteInPage(page: string): unknown {
  const from = page.indexOf(OPENS);
  const to = page.indexOf(CLOSES, from);
  if (from < 0 || to < 0) return undefined;
  return parsedJson(page.slice(from + OPENS.length, to));
}

function partyRow(side: Side, { parties, signatures }: DealNote): Html {
  const signed = signatures[side];
  return html`<tr>
    <th>${side}</th>
    <td>
      <code>${parties[side]}</code><br />
      ${signed === undefined ? 'not signed' : html`signed in step ${signed.step}: <code>${signed.signature}</code>`}
    </td>
  </tr>`;
}

function stepsTable(steps: readonly NoteStep[]): Html {
  // The first say what was agreed, the last what became of it.
  const shown = steps.length <= STEPS ? steps : [...steps.slice(0, STEPS / 2), ...steps.slice(-STEPS / 2)];
  const rows = shown.map(
    ({ step, at, kind, by, standing, hash, outcome }) =>
      html`<tr>
        <td>${step}</td>
        <td>${at.slice(0, 19).replace('T', ' ')} UTC</td>
        <td>${by}</td>
        <td>${kind}${outcome === undefined ? '' : `: ${outcome}`}${standing === 'late' ? ' (late)' : ''}</td>
        <td><code>${hash}</code></td>
      </tr>`,
  );
  const rest = steps.length - shown.length;
  return html`<table>
      ${rows}
    </table>
    ${rest === 0 ? '' : html`<p>${rest} further steps are in the file of this note.</p>`}`;
}

const said = (value: Scalar): string => (typeof value === 'string' ? value : JSON.stringify(value));

function clauseText(clause: DealNote['clauses'][number]): string {
  return typeof clause === 'object' && clause !== null
    ? `${clause.name}: ${said(clause.text)}`
    : said(clause);
}
