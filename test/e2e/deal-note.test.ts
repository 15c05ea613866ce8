import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { agrinet, agrinetHere } from '../support/cli.ts';
import { type Daemon, startDaemonHere } from '../support/daemon.ts';
import { tempDir } from '../support/temp-dir.ts';
import { deal } from '../support/terms.ts';

const ALTERED = 96;
const dir = tempDir('note-cli');
const file = join(dir.path, 'note.json');
const page = join(dir.path, 'note.html');
let daemon: Daemon | undefined;
let contractId = '';

/** A deal that both parties have settled; then its note is saved, and the daemon ends. */
beforeAll(async () => {
  const here = await startDaemonHere(join(dir.path, 'data'));
  daemon = here;
  const offer = { type: 'offer', ...deal(100), userId: 'mary' };
  const { listingId } = await here.json<{ listingId: string }>('POST', '/listings', offer);
  const made = { listingId, buyerId: 'amina', quantity: 70 };
  ({ contractId } = await here.json<{ contractId: string }>('POST', '/contracts', made));
  await here.json('POST', `/contracts/${contractId}/accept`, { acceptedBy: 'mary' });
  for (const settledBy of ['mary', 'amina'])
    await here.json('POST', `/contracts/${contractId}/settle`, { settledBy });
  for (const [path, accept] of [
    [file, 'application/json'],
    [page, 'text/html'],
  ] as const) {
    const answer = await fetch(`${here.url}/contracts/${contractId}/note`, {
      headers: { 'x-api-key': here.apiKey, accept },
    });
    writeFileSync(path, await answer.text());
  }
});
afterAll(async () => {
  await daemon?.stop();
  dir.remove();
});

/** A link to itself. */
function circle(): string {
  const link = join(dir.path, 'circle');
  rmSync(link, { force: true });
  symlinkSync(link, link);
  return link;
}

describe('agrinet contract', () => {
  it('verifies and shows a contract of the daemon by its ID', async () => {
    const verified = await agrinetHere(daemon, ['contract', 'verify', contractId]);
    expect(verified).toEqual({
      code: 0,
      stderr: '',
      stdout: `Valid: 4 steps of contract ${contractId}, all signed; the contract is settled.\n`,
    });
    const { code, stdout } = await agrinetHere(daemon, ['contract', 'show', contractId]);
    expect(code).toBe(0);
    expect(stdout).toContain(`Contract ${contractId}: settled`);
    for (const word of ['mary@', 'amina@', 'Maize', '70', 'propose', 'accept', 'settle'])
      expect(stdout).toContain(word);
    const unknown = await agrinetHere(daemon, ['contract', 'verify', 'none']);
    expect(unknown.code).not.toBe(0);
    expect(unknown.stderr.trimEnd().split('\n')).toHaveLength(1);
  });

  it('verifies a file, JSON or HTML, in a process without any daemon', async () => {
    await daemon?.stop();
    for (const path of [file, page]) {
      const { code, stdout } = await agrinet(undefined, ['contract', 'verify', path], {
        BACKEND_URL: 'http://127.0.0.1:1',
        DATA_DIR: join(dir.path, 'nowhere'),
      });
      expect([code, stdout]).toEqual([
        0,
        `Valid: 4 steps of contract ${contractId}, all signed; the contract is settled.\n`,
      ]);
    }
    const { code, stdout } = await agrinetHere(undefined, ['contract', 'verify', file, '--json']);
    expect([code, JSON.parse(stdout)]).toEqual([
      0,
      { valid: true, findings: [], contractId, state: 'settled' },
    ]);
  });

  it('verifies what comes through a pipe', async () => {
    const pipe = join(dir.path, 'pipe');
    expect(spawnSync('mkfifo', [pipe]).status).toBe(0);
    const written = writeFile(pipe, readFileSync(file));
    const { code, stdout } = await agrinetHere(undefined, ['contract', 'verify', pipe]);
    await written;
    expect([code, stdout]).toEqual([0, expect.stringContaining(`contract ${contractId}, all signed`)]);
  });

  it.each([
    ['a folder', () => dir.path, 'is a folder'],
    ['a file that is not there', () => join(dir.path, 'nowhere', 'note'), 'no such file'],
    ['a file of that name that is not there', () => 'nowhere.json', 'no such file'],
    ['what is below a file', () => join(file, 'note'), 'not a directory'],
    ['a link that leads in a circle', () => circle(), 'too many'],
  ])('says of %s that it cannot be read, in one line, and asks no daemon', async (_, path, why) => {
    for (const verb of ['show', 'verify']) {
      const { code, stderr } = await agrinetHere(undefined, ['contract', verb, path()]);
      expect([code, stderr.trimEnd().split('\n').length]).toEqual([2, 1]);
      expect(stderr).toContain(`cannot read ${path()}: `);
      expect(stderr).toContain(why);
    }
  });

  it.each([
    ['another price', file, '"price": 50', '"price": 5'],
    ['another price on the page', page, '50', '51'],
    ['a step that is gone', file, '"kind": "accept"', '"kind": "propose"'],
    ['no JSON', file, '{', ''],
  ])('names %s, in one line', async (_, from, what, instead) => {
    const altered = join(dir.path, 'altered');
    const text = readFileSync(from, 'utf8');
    expect(text).toContain(what);
    writeFileSync(altered, text.replace(what, instead));
    const { code, stderr } = await agrinetHere(undefined, ['contract', 'verify', altered]);
    expect(code).toBe(ALTERED);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).toContain(`${altered} does not hold: `);
  });
});
