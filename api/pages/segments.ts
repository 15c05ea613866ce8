/** The first segments of the paths of pages; the empty one is the home page's. */
export const PAGE_SEGMENTS = ['', 'market', 'sign-in', 'sign-out', 'admin', 'assets'] as const;
export type PageSegment = (typeof PAGE_SEGMENTS)[number];

const OF_PAGES: ReadonlySet<string> = new Set(PAGE_SEGMENTS);

/** Whether a path is a page's: there browsers have sessions, and errors are pages. */
export function isPage(path: string): boolean {
  return OF_PAGES.has(path.split('/', 2)[1] ?? '');
}
