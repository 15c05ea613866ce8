import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dealNotePage, noteInPage } from '../../../api/deal-note-page.ts';
import type { DealNote } from '../../../protocols/market/deal-note/note.ts';
import { noteText } from '../../../protocols/market/deal-note/note.ts';
import { verifyNote, verifyNoteValue } from '../../../protocols/market/deal-note/verify.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { alterations } from '../../support/note-alterations.ts';
import { startNode, type TestNode } from '../../support/in-process-node.ts';
import { seededRandom } from '../../support/random.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { deal } from '../../support/terms.ts';

const SEED = Number(process.env['AGRINET_SEED'] ?? 11);
const dir = tempDir('deal-note');
let node: TestNode;
let contractId = '';
let listingId = '';

const ask = (method: string, path: string, body?: unknown): Promise<Response> =>
  node.request(method, path, body);
async function fileOf(id = contractId): Promise<string> {
  const answer = await ask('GET', `/contracts/${id}/note`);
  expect(answer.status).toBe(200);
  return answer.text();
}
const parsed = (text: string): DealNote => JSON.parse(text) as DealNote;

async function begun(body: object): Promise<string> {
  const made = await ask('POST', '/contracts', { buyerId: 'amina', ...body });
  return ((await made.json()) as { contractId: string }).contractId;
}

beforeAll(async () => {
  node = await startNode(dir.path, { RATE_LIMIT: 'off' }, identityFromSeed(new Uint8Array(32).fill(5)));
  const offer = { type: 'offer', ...deal(100), commodity: 'Maize', location: 'Kisumu', userId: 'mary' };
  ({ listingId } = (await (await ask('POST', '/listings', offer)).json()) as { listingId: string });
  const clauses = ['dry', '</script><script>alert(1)</script>', 'kavu — 干燥'];
  contractId = await begun({ listingId, quantity: 70, price: 45, terms: clauses });
  await ask('POST', `/contracts/${contractId}/accept`, { acceptedBy: 'mary' });
  for (const settledBy of ['mary', 'amina'])
    await ask('POST', `/contracts/${contractId}/settle`, { settledBy });
});
afterAll(async () => {
  await node.stop();
  dir.remove();
});

describe('a deal note', () => {
  it('says parties, terms, steps with their times, and both signatures, and verifies by itself', async () => {
    const text = await fileOf();
    const note = parsed(text);
    expect(note).toMatchObject({
      contractId,
      state: 'settled',
      parties: { buyer: `amina@${node.peerId}`, supplier: `mary@${node.peerId}` },
      terms: { ...deal(70), price: 45, commodity: 'Maize', location: 'Kisumu', listingId },
      clauses: ['dry', '</script><script>alert(1)</script>', 'kavu — 干燥'],
      listing: { price: 50, location: 'Kisumu' },
      issued: { by: node.peerId },
    });
    expect(note.steps.map(({ step, kind, by }) => [step, kind, by])).toEqual([
      [1, 'propose', 'buyer'],
      [2, 'accept', 'supplier'],
      [3, 'settle', 'supplier'],
      [4, 'settle', 'buyer'],
    ]);
    for (const { at } of note.steps) expect(Date.now() - Date.parse(at)).toBeLessThan(60_000);
    expect(note.signatures).toEqual({
      buyer: { step: 1, signature: note.steps[0]?.signature },
      supplier: { step: 2, signature: note.steps[1]?.signature },
    });
    expect(verifyNote(text)).toEqual({ findings: [], note });
  });

  it('can be read and verified after its listing has been erased', async () => {
    expect((await ask('DELETE', `/listings/${listingId}?erase=true`)).status).toBe(200);
    expect((await ask('GET', `/listings/${listingId}`)).status).toBe(404);
    const text = await fileOf();
    expect(parsed(text).terms).toMatchObject({ ...deal(70), price: 45, location: 'Kisumu' });
    expect(verifyNote(text).findings).toEqual([]);
  });

  it('is for the parties alone, and of what was agreed alone', async () => {
    const anonymous = await node.app.request(`/contracts/${contractId}/note`);
    expect(anonymous.status).toBe(404);
    const draft = await begun({ supplierId: 'mary', ...deal(1) });
    const refused = await ask('GET', `/contracts/${draft}/note`);
    expect([refused.status, await refused.json()]).toMatchObject([409, { code: 'contract-state' }]);
    const request = await begun({ title: 'Maize wanted' });
    expect((await ask('GET', `/contracts/${request}/note`)).status).toBe(409);
  });

  it('tells both sides of a dispute, and what has been overtaken', async () => {
    const id = await begun({ supplierId: 'mary', ...deal(2) });
    for (const [step, body] of [
      ['accept', { acceptedBy: 'mary' }],
      ['settle', { settledBy: 'mary' }],
      ['cancel', { cancelledBy: 'amina' }],
    ] as const)
      expect((await ask('POST', `/contracts/${id}/${step}`, body)).status).toBe(200);
    const text = await fileOf(id);
    expect(verifyNote(text)).toMatchObject({ findings: [], note: { state: 'disputed', terms: deal(2) } });
    expect(Object.keys(parsed(text).signatures)).toEqual(['buyer', 'supplier']);
  });
});

describe('an altered deal note', () => {
  it(`is named, whatever was altered or taken out, where it was (seed ${SEED})`, async () => {
    const text = await fileOf();
    const random = seededRandom(SEED);
    const unnamed: string[] = [];
    for (const { what, altered, names } of alterations(text, random, 1000)) {
      const { findings } = verifyNote(altered);
      if (!findings.some(({ at, what: why }) => names.test(`${at} ${why}`)))
        unnamed.push(`${what}: ${JSON.stringify(findings).slice(0, 300)}`);
    }
    expect(unnamed).toEqual([]);
  });

  it('is named when the last steps are taken out with all that is said of them', async () => {
    const text = await fileOf();
    const note = parsed(text);
    const steps = note.steps.slice(0, -1);
    const statements = note.evidence.statements.slice(0, -1);
    const cut = { ...note, state: 'accepted', steps, evidence: { ...note.evidence, statements } };
    const { findings } = verifyNote(noteText(cut as DealNote));
    expect(findings).toEqual([{ at: `step ${note.steps[3]?.hash}`, what: 'was taken out, or altered' }]);
  });

  it('is named when its word is that of a note issued before', async () => {
    const id = await begun({ supplierId: 'mary', ...deal(2) });
    await ask('POST', `/contracts/${id}/accept`, { acceptedBy: 'mary' });
    const { evidence } = parsed(await fileOf(id));
    await ask('POST', `/contracts/${id}/settle`, { settledBy: 'mary' });
    const later = parsed(await fileOf(id));
    const { findings } = verifyNoteValue({ ...later, evidence: { ...later.evidence, word: evidence.word } });
    expect(findings).toContainEqual({ at: `step ${later.steps[2]?.hash}`, what: 'was put in' });
  });
});

describe('the page of a deal note', () => {
  it('holds the note, runs nothing, and is the same for the same note', async () => {
    const answer = await node.app.request(`/contracts/${contractId}/note`, {
      headers: { 'x-api-key': 'test-key-of-a-node-in-this-process', accept: 'text/html,*/*' },
    });
    expect(answer.headers.get('content-type')).toMatch(/^text\/html/);
    expect(answer.headers.get('content-security-policy')).toBe(
      "default-src 'none'; style-src 'unsafe-inline'",
    );
    const page = await answer.text();
    expect(page.match(/<script/g)).toHaveLength(1);
    const verdict = verifyNoteValue(noteInPage(page));
    expect(verdict.findings).toEqual([]);
    if (verdict.note === undefined) throw new Error('no note');
    expect(await dealNotePage(verdict.note)).toBe(page);
  });

  it('has the smaller letters the more room its terms take on paper, by their width and not their number', async () => {
    const note = parsed(await fileOf());
    const sizeWith = async (clause: string) => {
      const page = await dealNotePage({ ...note, clauses: [clause] });
      return /<body class="(\w*)">/.exec(page)?.[1];
    };
    // Which of them print on one page was looked at with a browser: 7,000 W in letters of 6.5 points take two.
    const sizes = [
      ['dry'],
      ['i'.repeat(3000)],
      ['W'.repeat(1000)],
      ['W'.repeat(7000)],
      ['\u7389'.repeat(2700)],
    ];
    expect(await Promise.all(sizes.map(([clause = '']) => sizeWith(clause)))).toEqual([
      '',
      'long',
      'long',
      'longest',
      'long',
    ]);
  });
});
