import { existsSync } from 'node:fs';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';

const PATHS = ['/usr/bin/chromium', '/usr/bin/chromium-browser'];
const path = PATHS.find((each) => existsSync(each));

/** Why tests in a browser cannot run here; undefined when they can. */
export const noChromium =
  path === undefined ? 'needs Chromium: apt-get install --no-install-recommends chromium' : undefined;

export function startChromium(): Promise<Browser> {
  // The sandbox needs namespaces, which root in a container has not; pages here are our own.
  return chromium.launch({ executablePath: path ?? '', args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}

/** A page, and what must not happen on it. */
export interface WatchedPage {
  readonly page: Page;
  /** Errors on its console, exceptions, and requests to another origin. */
  readonly faults: string[];
}

/** A tab that notes what it must not do: errors on the console, what the policy has blocked, and requests to other origins. */
export async function watchedPage(context: BrowserContext, origin: string): Promise<WatchedPage> {
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning')
      faults.push(`${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => faults.push(`exception: ${error.message}`));
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== origin) faults.push(`request to ${request.url()}`);
  });
  return { page, faults };
}
