import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { AxeResults } from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADMINISTRATION, TOP } from '../../api/pages/navigation.ts';
import { noChromium, startChromium, type WatchedPage, watchedPage } from '../support/chromium.ts';
import { agrinet } from '../support/cli.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { tempDir } from '../support/temp-dir.ts';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const needs = noChromium === undefined ? '' : ` (${noChromium})`;
const PATHS = [...new Set([...TOP, ...ADMINISTRATION].map(({ path }) => path))];
/** Those of the listings below. */
const LISTINGS: string[] = [];
/** A small phone, in CSS pixels. */
const PHONE = { width: 360, height: 640 };
/** Written into fields of listings: none of it may do anything. */
const HOSTILE = [
  '<script>document.title="hacked"</script>',
  '"><img src=x onerror="document.title=1">',
  '<style>*{display:none}</style>',
  '\u202egnp.exe\u202c \u200b\u200d\ufeff',
  'W'.repeat(200),
];

const dir = tempDir('pages-browser');
let daemon: Daemon;
let browser: Browser;

beforeAll(async () => {
  if (noChromium !== undefined) return;
  daemon = await startDaemon(join(dir.path, 'data'), { REGION: 'Nyanza' });
  for (const [n, text] of HOSTILE.entries()) {
    const { listingId } = await daemon.json<{ listingId: string }>('POST', '/listings', {
      type: 'offer',
      title: `Maize ${n} ${text}`,
      description: text,
      market: text,
      quantity: 10,
      price: 50 + n,
      currency: 'KES',
      unit: 'KG',
    });
    LISTINGS.push(`/market/listings/${listingId}`);
  }
  browser = await startChromium();
});
afterAll(async () => {
  await browser?.close();
  await daemon?.stop();
  dir.remove();
});

async function signedIn(colorScheme: 'light' | 'dark'): Promise<WatchedPage> {
  const context = await browser.newContext({ colorScheme, viewport: PHONE, locale: 'en-GB' });
  const watched = await watchedPage(context, daemon.url);
  const { page } = watched;
  await page.goto(`${daemon.url}/admin`);
  await page.getByLabel('API key').fill(daemon.apiKey);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL(`${daemon.url}/admin`);
  return watched;
}

/** Findings of axe that keep somebody from using the page. */
async function seriousFindings(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(
    async () =>
      (await (globalThis as unknown as { axe: { run(): Promise<unknown> } }).axe.run()) as AxeResults, // what the line before has defined
  );
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(' | ')}`);
}

it('agrinet open prints a link that signs in once', async () => {
  const data = join(dir.path, 'opened');
  const opened = await startDaemon(data, {});
  try {
    expect(opened.output()).toContain('run: agrinet open');
    const { urls } = JSON.parse((await agrinet(opened, ['open', '--json'])).stdout) as { urls: string[] };
    expect(urls).toHaveLength(1);
    const link = new URL(urls[0] ?? '');
    expect(link.origin).toBe(opened.url);
    expect(await (await fetch(link)).text()).toContain('The link works once.');
    const use = (): Promise<Response> =>
      fetch(`${opened.url}/sign-in/link`, {
        method: 'POST',
        redirect: 'manual',
        body: new URLSearchParams({ token: link.searchParams.get('token') ?? '' }),
      });
    const done = await use();
    expect([done.status, done.headers.get('location')]).toEqual([303, '/admin']);
    expect(done.headers.get('set-cookie')).toMatch(/HttpOnly/);
    await expect.poll(async () => (await use()).status, { timeout: 10_000, interval: 1000 }).toBe(403);
  } finally {
    await opened.stop();
  }
});

describe.skipIf(noChromium !== undefined)(`every page in Chromium${needs}`, () => {
  it.each(['light', 'dark'] as const)(
    'signs in, has no serious finding of axe, fits a phone, and asks nobody else: %s',
    async (theme) => {
      const { page, faults } = await signedIn(theme);
      for (const path of [...PATHS, ...LISTINGS]) {
        await page.goto(daemon.url + path);
        expect([path, await seriousFindings(page)]).toEqual([path, []]);
        const width = await page.evaluate(() => document.documentElement.scrollWidth);
        expect([path, width <= PHONE.width], `${path} is ${width} px wide`).toEqual([path, true]);
        // The page of a listing has its title, as text; a script would have put another in its place.
        expect(await page.title()).toMatch(/ · Nyanza$/);
        const shots = process.env['SCREENSHOTS'];
        if (shots !== undefined) {
          const name = path === '/' ? 'home' : path.slice(1, 40).replaceAll('/', '-');
          await page.screenshot({ path: join(shots, `${name}-${theme}-phone.png`), fullPage: true });
          await page.setViewportSize({ width: 1200, height: 800 });
          await page.screenshot({ path: join(shots, `${name}-${theme}.png`), fullPage: true });
          await page.setViewportSize(PHONE);
        }
      }
      expect(faults).toEqual([]);
      await page.context().close();
    },
  );

  it('can be used by keyboard alone: past the navigation, signing in, every link and button in turn', async () => {
    const context = await browser.newContext({ viewport: PHONE });
    const { page, faults } = await watchedPage(context, daemon.url);
    await page.goto(`${daemon.url}/sign-in?next=%2Fadmin`);
    await page.keyboard.press('Tab');
    expect(await page.evaluate(() => document.activeElement?.className)).toBe('skip');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    await page.keyboard.type(daemon.apiKey);
    await page.keyboard.press('Enter');
    await page.waitForURL(`${daemon.url}/admin`);
    for (const path of [...PATHS, ...LISTINGS]) {
      await page.goto(daemon.url + path);
      const all = await page
        .locator('a[href], button, input:not([type=hidden]), select, textarea, summary')
        .count();
      const reached = new Set<number>();
      for (let pressed = 0; pressed < all; pressed++) {
        await page.keyboard.press('Tab');
        reached.add(
          await page.evaluate(() =>
            [...document.querySelectorAll('a[href], button, input, select, textarea, summary')].indexOf(
              document.activeElement as Element, // -1 when it is none of these
            ),
          ),
        );
      }
      reached.delete(-1);
      expect([path, reached.size]).toEqual([path, all]);
    }
    expect(faults).toEqual([]);
    await context.close();
  });

  it('shows times in the zone of the reader, and in UTC without script', async () => {
    for (const javaScriptEnabled of [true, false]) {
      const context = await browser.newContext({
        timezoneId: 'Africa/Nairobi',
        locale: 'en',
        javaScriptEnabled,
      });
      const page = await context.newPage();
      await page.goto(daemon.url);
      const time = page.locator('time').first();
      const at = new Date((await time.getAttribute('datetime')) ?? '');
      const [hour = ''] = at.toISOString().slice(11).split(':');
      const inZone = String((Number(hour) + 3) % 12 || 12);
      expect(await time.textContent()).toMatch(
        javaScriptEnabled ? new RegExp(`, ${inZone}:`) : new RegExp(` ${hour}:\\d\\d UTC$`),
      );
      await context.close();
    }
  });

  it('is in nobody’s frame, and a page of another site can send none of its forms', async () => {
    const { page } = await signedIn('light');
    const hostile = createServer((_, answer) =>
      answer.setHeader('content-type', 'text/html')
        .end(`<iframe name="inside" src="${daemon.url}/admin"></iframe>
        <form method="post" action="${daemon.url}/sign-out/everywhere"><button>Prize</button></form>`),
    );
    await new Promise<void>((resolve) => hostile.listen(0, '127.0.0.1', resolve));
    await page.goto(`http://localhost:${(hostile.address() as AddressInfo).port}/`);
    const inside = page.frames().find((frame) => frame.name() === 'inside');
    expect(await inside?.locator('header.top').count()).toBe(0);
    await page.getByRole('button', { name: 'Prize' }).click();
    await page.waitForLoadState();
    expect(await page.locator('body').textContent()).toContain('origin');
    await page.goto(`${daemon.url}/admin`);
    expect(page.url()).toBe(`${daemon.url}/admin`);
    await page.context().close();
    hostile.close();
  });
});
