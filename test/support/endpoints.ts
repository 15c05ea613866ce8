import { type ApiDocument, operationsOf } from './api-document.ts';
import { startNode } from './in-process-node.ts';
import { tempDir } from './temp-dir.ts';

/** The OpenAPI document of a node that was started for it. */
export async function apiDocument(): Promise<ApiDocument> {
  const dir = tempDir('openapi');
  const node = await startNode(dir.path);
  try {
    return (await (await node.app.request('/openapi.json')).json()) as ApiDocument;
  } finally {
    await node.stop();
    dir.remove();
  }
}

/** The table of endpoints of api/README.md, in markdown. */
export function endpointTable(document: ApiDocument): string {
  const rows = operationsOf(document).map(
    ({ method, path, operation }) =>
      `| \`${method.toUpperCase()} ${path}\` | ${operation['x-access']} | ${operation.summary} |`,
  );
  return ['| endpoint | required scope | what it does |', '|---|---|---|', ...rows].join('\n');
}
