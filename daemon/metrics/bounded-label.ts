/**
 * So many values of a label and no more: whatever comes beyond is `other`, so that nobody makes a series by inventing a name. `known`
 * names only, or the first `most` that come.
 */
export function boundedLabel(
  bound: { readonly known: ReadonlySet<string> } | { readonly most: number },
): (name: string) => string {
  if ('known' in bound) return (name) => (bound.known.has(name) ? name : 'other');
  const seen = new Set<string>();
  return (name) => {
    if (seen.has(name)) return name;
    if (seen.size >= bound.most) return 'other';
    seen.add(name);
    return name;
  };
}
