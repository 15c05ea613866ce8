/**
 * Limits the values of a label: any others become `other`, so that nobody creates a series by inventing a name. Either only `known`
 * names, or the first `most`.
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
