import { AgrinetError, errorMessage } from '../../errors.ts';
import { decodeMembership, encodeMembership } from '../../open-dialog/membership.ts';
import type { Membership } from '../../open-dialog/record.ts';
import { fromBase64url, fromHex } from '../../wire/bytes.ts';
import { parsePeerId } from '../../wire/identity.ts';
import type { SignedStatement } from '../contract-book/types.ts';
import { CONTRACT_LIMITS, verifyTransition } from '../contract/statement.ts';
import { nodeOf } from '../party.ts';
import { contractOf, isBoundTo, type IssuedAttestation, verifyAttestation } from './evidence.ts';
import { composeNote, type DealNote, noteText, verdictOf } from './note.ts';
import { differences, type Finding, isRecord, textDifference } from './differences.ts';

export type { Finding } from './differences.ts';

export const NOTE_LIMITS = {
  /** Size of a note's file: 256 steps of 8 KiB, and the text about them. */
  fileBytes: 8 * 1024 * 1024,
} as const;

/** The result for a note: everything that is wrong with it, and the note that its evidence proves, where enough of it is left. */
export interface NoteVerdict {
  readonly findings: readonly Finding[];
  readonly note?: DealNote;
}

/**
 * Verifies the text of a note by its own evidence alone: every signature, the contract's id, that no step was removed, and that
 * everything it says to people is what the parties have signed.
 */
export function verifyNote(text: string): NoteVerdict {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { findings: [{ at: 'file', what: `is not JSON: ${errorMessage(error)}` }] };
  }
  const verdict = verifyNoteValue(value);
  if (verdict.note === undefined || verdict.findings.length > 0) return verdict;
  const layout = textDifference(text, noteText(verdict.note));
  return layout === undefined ? verdict : { ...verdict, findings: [layout] };
}

/** The same of a note that was parsed. */
export function verifyNoteValue(value: unknown): NoteVerdict {
  const reading = new EvidenceReader(isRecord(value) && isRecord(value['evidence']) ? value['evidence'] : {});
  const { findings, source } = reading.read();
  if (source === undefined) return { findings };
  const note = composeNote(source);
  return { findings: [...findings, ...differences(value, note)], note };
}

/** Reads the evidence of a note, and notes everything that does not hold. */
class EvidenceReader {
  readonly #evidence: Readonly<Record<string, unknown>>;
  readonly #findings: Finding[] = [];

  constructor(evidence: Readonly<Record<string, unknown>>) {
    this.#evidence = evidence;
  }

  read() {
    const word = this.#word();
    const creation = this.#creation(word);
    const statements = this.#statements(word);
    const findings = this.#findings;
    if (word === undefined || creation === undefined) return { findings };
    const source = { word, creation, statements, signedAttestation: String(this.#evidence['word']) };
    const { verdict } = verdictOf(source);
    for (const [hash, code] of verdict.rejected) this.#wrong(`step ${hash}`, `does not count: ${code}`);
    for (const [hash, missing] of verdict.pending)
      this.#wrong(`step ${hash}`, `follows what is not here: ${missing.join(', ')}`);
    return { findings, source };
  }

  #wrong(at: string, what: string): undefined {
    this.#findings.push({ at, what });
    return undefined;
  }

  #word(): IssuedAttestation | undefined {
    const at = 'evidence.word';
    const text = this.#evidence['word'];
    if (typeof text !== 'string') return this.#wrong(at, 'is missing');
    try {
      const word = verifyAttestation(text);
      if (![word.buyer, word.supplier].some((party) => nodeOf(party) === word.by))
        this.#wrong(at, `is by ${word.by}, which is the node of neither party`);
      return word;
    } catch (error) {
      if (!(error instanceof AgrinetError)) throw error;
      return this.#wrong(at, error.message);
    }
  }

  #creation(word: IssuedAttestation | undefined): Membership | undefined {
    const at = 'evidence.creation';
    const members = membershipOf(this.#evidence['creation']);
    if (members === undefined) return this.#wrong(at, 'is missing, or no creation of a contract');
    if (word === undefined) return members;
    if (contractOf(members) !== word.contract)
      this.#wrong(at, 'is not that of this contract: its hash is another');
    if (!isBoundTo(members, word)) this.#wrong(at, 'does not commit to these parties and this listing');
    return members;
  }

  #statements(word: IssuedAttestation | undefined): SignedStatement[] {
    const given = this.#evidence['statements'];
    if (!Array.isArray(given) || given.length > CONTRACT_LIMITS.statements) {
      this.#wrong('evidence.statements', 'is missing, or no list of steps');
      return [];
    }
    const found = given.flatMap((text: unknown, i) => this.#statement(text, i) ?? []);
    if (word === undefined) return found;
    const hashes = new Set(found.map(({ transition }) => transition.hash));
    for (const hash of word.statements)
      if (!hashes.has(hash)) this.#wrong(`step ${hash}`, 'was taken out, or altered');
    const told = new Set(word.statements);
    for (const { transition } of found)
      if (!told.has(transition.hash)) this.#wrong(`step ${transition.hash}`, 'was put in');
    return found.filter(
      ({ transition }, i) => found.findIndex((one) => one.transition.hash === transition.hash) === i,
    );
  }

  #statement(text: unknown, i: number): SignedStatement | undefined {
    const at = `evidence.statements[${i}]`;
    const bytes = typeof text === 'string' ? fromBase64url(text) : undefined;
    if (bytes === undefined) return this.#wrong(at, 'is not base64url');
    try {
      return { transition: verifyTransition(bytes), bytes };
    } catch (error) {
      if (!(error instanceof AgrinetError)) throw error;
      return this.#wrong(at, error.message);
    }
  }
}

/** The creation that a note names; undefined for what no contract can begin with. */
function membershipOf(value: unknown): Membership | undefined {
  if (!isRecord(value)) return undefined;
  const { owner, writers, participants, nonce } = value;
  const [by, all, some] = [parsePeerId(owner), peersOf(writers), peersOf(participants)];
  if (by === undefined || all === undefined || some === undefined) return undefined;
  if (typeof nonce !== 'string' || !/^[0-9a-f]{32}$/.test(nonce)) return undefined;
  return decodeMembership(encodeMembership({ owner: by, writers: all, participants: some }, fromHex(nonce)));
}

function peersOf(value: unknown): Membership['writers'] | undefined {
  if (!Array.isArray(value)) return undefined;
  const peers = value.flatMap((one) => parsePeerId(one) ?? []);
  return peers.length === value.length ? peers : undefined;
}
