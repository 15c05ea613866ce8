interface DigestAnswer {
  readonly owners: Readonly<Record<string, { readonly collections: Readonly<Record<string, unknown>> }>>;
}

/**
 * What every owner's records come to, collection by collection, without the heads of the audit log: a node that stops signs one, so
 * its total digest is another after each restart.
 */
export function catalogueDigest(answer: unknown): string {
  const { owners } = answer as DigestAnswer; // of `GET /federation/digest`
  const kept = Object.entries(owners).map(([owner, { collections }]) => {
    const { 'audit-heads': _, ...rest } = collections;
    return [owner, rest];
  });
  return JSON.stringify(kept);
}
