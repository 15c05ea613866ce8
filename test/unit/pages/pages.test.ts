import { readFileSync } from 'node:fs';
import { globSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { assetBytes, assetUrl } from '../../../api/pages/assets.ts';
import { ADMINISTRATION, TOP } from '../../../api/pages/navigation.ts';
import { LANGUAGES, preferredLanguage, TEXTS, type TextName } from '../../../api/pages/texts.ts';
import { readTexts } from '../../../daemon/notices/texts.ts';
import { FormBrowser } from '../../support/browser.ts';
import { startNode, TEST_KEY, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

const dir = tempDir('pages');
let node: TestNode;
let operator: FormBrowser;
beforeAll(async () => {
  node = await startNode(dir.path, { RATE_LIMIT: 'off' });
  operator = new FormBrowser(node);
  await operator.signIn(TEST_KEY);
});
afterAll(async () => {
  await node.stop();
  dir.remove();
});

const textNames = Object.keys(TEXTS) as TextName[];
const PATHS = [...new Set([...TOP, ...ADMINISTRATION].map(({ path }) => path)), '/sign-in', '/sign-in/link'];

describe('every page', () => {
  it('loads nothing from elsewhere and has nothing that the policy forbids', async () => {
    for (const path of PATHS) {
      const answer = await operator.get(path);
      const page = await answer.text();
      expect([path, answer.status]).toEqual([path, 200]);
      const policy = answer.headers.get('content-security-policy') ?? '';
      expect(policy).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self'; /);
      expect(policy).toContain("form-action 'self'; base-uri 'none'; frame-ancestors 'none'");
      expect(policy).not.toContain('unsafe');
      expect(answer.headers.get('referrer-policy')).toBe('same-origin');
      expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
      expect(page, path).not.toMatch(/<style|<script(?![^>]* src="\/)|\sstyle="|\son\w+="/);
      expect(page, path).not.toMatch(/(src|href|action)="(https?:)?\/\//);
    }
  });

  it('has one h1, one main, a way past the navigation, a language, and labels for all that is filled in', async () => {
    for (const path of PATHS) {
      const page = await (await operator.get(path)).text();
      expect([path, page.match(/<h1/g)?.length, page.match(/<main/g)?.length]).toEqual([path, 1, 1]);
      expect(page).toContain('<html lang="en">');
      expect(page).toContain('class="skip" href="#main"');
      for (const [, id] of page.matchAll(
        /<(?:input|select|textarea)(?![^>]*type="hidden")[^>]*?id="([^"]+)"/g,
      ))
        expect(page, `${path} ${id}`).toContain(`<label for="${id}"`);
      expect(page, path).not.toMatch(/<(?:input|select|textarea)(?![^>]*(type="hidden"|id="))/);
    }
  });

  it('answers what is not there as a page, and the API as before', async () => {
    const missing = await operator.get('/admin/none');
    expect([missing.status, missing.headers.get('content-type')]).toEqual([404, 'text/html; charset=UTF-8']);
    expect(await missing.text()).toMatch(/role="alert"[^>]*>There is no such page/);
    expect((await operator.get('/listings/none')).headers.get('content-type')).toBe('application/json');
  });
});

describe('files of pages', () => {
  it('are all together below 300 KB as they are sent', async () => {
    for (const encoding of ['br', 'gzip'] as const) {
      const sizes = Object.values(await assetBytes(encoding));
      expect(sizes.reduce((sum, each) => sum + each, 0)).toBeLessThan(300_000);
    }
  });

  it('are kept by browsers for good, under an address that changes with them', async () => {
    const answer = await node.app.request(assetUrl('agrinet.css'), {
      headers: { 'accept-encoding': 'gzip, br' },
    });
    expect(answer.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
    expect([answer.headers.get('content-encoding'), answer.headers.get('vary')]).toEqual([
      'br',
      'accept-encoding',
    ]);
    expect(answer.headers.get('content-type')).toBe('text/css; charset=utf-8');
    expect(await (await node.app.request(assetUrl('htmx.js'))).text()).toContain('htmx');
    for (const path of [
      '/assets/000000000000/agrinet.css',
      '/assets/x/..%2Fassets.ts',
      '/assets/x/constructor',
    ])
      expect([path, (await node.app.request(path)).status]).toEqual([path, 404]);
  });
});

describe('texts', () => {
  it('are in the languages of the notices, reviewed where those are, and say the same things', async () => {
    const notices = await readTexts();
    expect(Object.keys(LANGUAGES).toSorted()).toEqual([...notices.keys()].toSorted());
    const names = (text: string): string[] => [...text.matchAll(/\{\w+\}/g)].map(([each]) => each).toSorted();
    for (const name of textNames) {
      const [en, sw] = [TEXTS[name].en, TEXTS[name].sw];
      expect([name, names(en)]).toEqual([name, names(sw)]);
      expect(sw, name).not.toBe('');
    }
  });

  it('are all used', () => {
    const files = globSync('api/pages/**/*.ts').filter((file) => !file.includes('/texts'));
    const source = files.map((file) => readFileSync(file, 'utf8')).join('\n');
    expect(textNames.filter((name) => !source.includes(`'${name}'`))).toEqual([]);
  });

  it('come in the language of the browser, or the one that was chosen', async () => {
    expect(preferredLanguage('fr, sw-KE;q=0.8, en;q=0.5')).toBe('sw');
    expect(preferredLanguage('fr')).toBe('en');
    const browser = new FormBrowser(node);
    expect(await (await browser.get('/', { 'accept-language': 'sw' })).text()).toContain('<html lang="sw">');
    expect(await (await browser.get('/?lang=sw')).text()).toContain('Matangazo mapya');
    expect(await (await browser.get('/')).text()).toContain('<html lang="sw">');
    expect(await (await browser.get('/?lang=en')).text()).toContain('Newest listings');
  });
});

it('home finds listings by words, and shows what others wrote as text', async () => {
  for (const title of ['Maize, dry', '<script>alert(1)</script> beans'])
    await node.request('POST', '/listings', {
      type: 'offer',
      title,
      price: 1200.5,
      currency: 'KES',
      unit: 'bag',
    });
  const all = await (await node.app.request('/')).text();
  expect(all).toContain('Maize, dry');
  expect(all).toMatch(/1,200.5\s+KES \/ bag/);
  await expect
    .poll(async () => (await node.app.request('/?q=beans')).text())
    .toContain('&lt;script&gt;alert(1)');
  const found = await (await node.app.request('/?q=beans')).text();
  expect(found).not.toContain('Maize');
  const odd = await (
    await node.app.request(`/?q=${encodeURIComponent('"><script>alert(2)</script>')}`)
  ).text();
  expect(odd).not.toContain('<script>alert(2)');
});
