import { encodePage, type FrontierGroup, frontierPages } from '../../protocols/mycelium/frontier-page.ts';

/** All pages of a frontier, of a sender that does not say what it knows. */
export const encodeFrontier = (groups: readonly FrontierGroup[]): Uint8Array[] =>
  frontierPages(groups).map((page) => encodePage(page));
