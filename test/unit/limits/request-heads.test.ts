import { expect, it } from 'vitest';
import { SERVER_LIMITS } from '../../../daemon/http-server.ts';
import { operationsOf } from '../../support/api-document.ts';
import { apiDocument } from '../../support/endpoints.ts';

/** The path, and the headers that any client sends beside. */
const BESIDE_BYTES = 2048;

it('the head of a request can carry whatever a parameter in it is allowed to be', async () => {
  const lengths = operationsOf(await apiDocument()).flatMap(({ method, path, operation }) =>
    (operation.parameters ?? []).flatMap(({ name, in: place, schema }) =>
      place === 'query' || place === 'header' || place === 'path'
        ? [{ parameter: `${method} ${path} ${name}`, most: schema?.maxLength ?? 0 }]
        : [],
    ),
  );
  expect(lengths.filter(({ most }) => most > 0).length).toBeGreaterThan(20);
  expect(lengths.filter(({ most }) => most > SERVER_LIMITS.maxHeaderBytes - BESIDE_BYTES)).toEqual([]);
});
