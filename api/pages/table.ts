import { html } from 'hono/html';
import type { Html } from './view.ts';

/** Columns of numbers are named with a `#` before. Whoever has no pointer scrolls it by its buttons, or, without any, by itself. */
export function scrollTable(
  label: string,
  columns: readonly string[],
  rows: readonly Html[],
  hasButtons = true,
): Html {
  const heads = columns.map((name) =>
    name.startsWith('#')
      ? html`<th scope="col" class="n">${name.slice(1)}</th>`
      : html`<th scope="col">${name}</th>`,
  );
  return html`<div class="scroll" role="region" aria-label="${label}" ${hasButtons ? '' : html`tabindex="0"`}>
    <table>
      <thead>
        <tr>
          ${heads}
        </tr>
      </thead>
      <tbody>
        ${rows}
      </tbody>
    </table>
  </div>`;
}
