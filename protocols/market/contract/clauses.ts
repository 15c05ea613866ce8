import { AgrinetError } from '../../errors.ts';
import type { Scalar } from '../../open-dialog/change.ts';
import { isPersonalName } from '../../wire/personal.ts';

/*
 * The clauses of a contract stand in a finite number of fields, so that a record has a ceiling whoever writes into it at the same
 * time: `terms.<w><nn>`, where `w` is the place of the node that made the clause among the writers (0 in an open request) and `nn`
 * one of its 32 numbers. A clause that a client named is the JSON text `["#", name, text]`. Their order is that of the fields.
 */

/** Clauses that one node can have in a contract at once. */
export const CLAUSES_PER_WRITER = 32;
/** UTF-16 code units of one clause with its name, as stored in the document. */
export const CLAUSE_LENGTH = 1024;

const PREFIX = 'terms.';
const fieldOf = (writer: number, n: number): string => `${PREFIX}${writer}${String(n).padStart(2, '0')}`;

/** Every field that can hold a writer's clauses. */
export function clauseFieldsOf(writer: number): string[] {
  return Array.from({ length: CLAUSES_PER_WRITER }, (_, n) => fieldOf(writer, n));
}

export function isClauseField(field: string): boolean {
  return field.startsWith(PREFIX);
}

type Fields = Readonly<Record<string, Scalar | undefined>>;

/** The clauses of a document in their order, as its clients gave them. */
export function clausesOf(view: Fields): { field: string; name?: string; text: Scalar }[] {
  return Object.keys(view)
    .filter((field) => isClauseField(field) && view[field] !== undefined)
    .sort()
    .map((field) => ({ field, ...readClause(view[field] ?? null) }));
}

function readClause(value: Scalar): { name?: string; text: Scalar } {
  if (typeof value !== 'string' || !value.startsWith('["#",')) return { text: value };
  try {
    const [, name, text] = JSON.parse(value) as unknown[];
    if (typeof name === 'string' && typeof text === 'string') return { name, text };
  } catch {
    return { text: value }; // another node's words that only begin like it
  }
  return { text: value };
}

/**
 * What to write so that `current` has the clauses that a client asks for: a list replaces all existing ones, an object changes those
 * that it names (a number names the clause at that index, null removes one). Throws `fields-invalid`, and `terms-full` where this
 * writer has no field left.
 */
export function clauseChanges(
  wanted: unknown,
  writer: number,
  current: Fields,
): Record<string, Scalar | undefined> {
  if (Array.isArray(wanted)) return listChanges(wanted, writer, current);
  if (typeof wanted === 'object' && wanted !== null) return namedChanges(wanted, writer, current);
  throw new AgrinetError('fields-invalid', 'terms: must be a list of clauses, or an object of clauses by ID');
}

function freeFields(writer: number, current: Fields): string[] {
  return clauseFieldsOf(writer).filter((field) => current[field] === undefined);
}

function full(): AgrinetError {
  return new AgrinetError(
    'terms-full',
    `terms: a node can have at most ${CLAUSES_PER_WRITER} clauses in a contract; combine or remove some first`,
  );
}

/** Reuses existing fields, whoever created them, so that writers of one clause at the same time are in conflict, and see it. */
function listChanges(
  wanted: readonly unknown[],
  writer: number,
  current: Fields,
): Record<string, Scalar | undefined> {
  const clauses = wanted.filter((clause) => clause !== null && clause !== undefined);
  const held = clausesOf(current).map(({ field }) => field);
  const more = freeFields(writer, current).slice(0, Math.max(0, clauses.length - held.length));
  const fields = [...held.slice(0, clauses.length), ...more].sort();
  if (fields.length < clauses.length) throw full();
  const changes: Record<string, Scalar | undefined> = {};
  for (const field of held) changes[field] = undefined;
  for (const [i, field] of fields.entries()) changes[field] = textOf(clauses[i], `clause ${i + 1}`);
  return changes;
}

function namedChanges(wanted: object, writer: number, current: Fields): Record<string, Scalar | undefined> {
  const held = clausesOf(current);
  const plain = held.filter(({ name }) => name === undefined);
  const free = freeFields(writer, current);
  const changes: Record<string, Scalar | undefined> = {};
  // Nothing signed ever contains a field named like an e-mail address, a telephone or a password.
  for (const [name, clause] of Object.entries(wanted).filter(([each]) => !isPersonalName(each))) {
    const known =
      held.find((each) => each.name === name) ??
      (/^[1-9]\d?$/.test(name) ? plain[Number(name) - 1] : undefined);
    if (clause === null) {
      if (known !== undefined) changes[known.field] = undefined;
      continue;
    }
    const field = known?.field ?? free.shift();
    if (field === undefined) throw full();
    const isPlain = known === undefined ? Number(name) === plain.length + 1 : known.name === undefined;
    if (known === undefined && isPlain) plain.push({ field, text: '' });
    changes[field] = textOf(clause, name, isPlain ? undefined : name);
  }
  return changes;
}

function textOf(clause: unknown, called: string, name?: string): string {
  const text = typeof clause === 'object' ? JSON.stringify(clause) : clause;
  if (typeof text !== 'string' && typeof text !== 'number')
    throw new AgrinetError('fields-invalid', `terms: ${called}: must be text`);
  const written = name === undefined ? String(text) : JSON.stringify(['#', name, String(text)]);
  if (written.length > CLAUSE_LENGTH)
    throw new AgrinetError(
      'fields-invalid',
      `terms: ${called}: must have at most ${CLAUSE_LENGTH} characters, its name included`,
    );
  return written;
}
