/** A base that no path leads away from. */
const HERE = 'http://here.invalid';

/** The path of this node that a form or link asks to continue with, or another; a URL that leads elsewhere never comes out. */
export function localPath(wanted: string | null | undefined, otherwise: string): string {
  if (wanted === null || wanted === undefined || !/^\/(?![/\\])[\x21-\x7e]*$/.test(wanted)) return otherwise;
  const url = URL.parse(wanted, HERE);
  if (url === null || url.origin !== HERE || url.pathname.startsWith('//')) return otherwise;
  return url.pathname + url.search;
}
