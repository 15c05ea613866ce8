import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';

/** A fetch over HTTPS, as far as tests of a daemon need it. Rejects when the connection or the certificate fails. */
export type HttpsFetch = (
  url: string,
  init?: { method?: string; headers?: Record<string, string>; body?: string },
) => Promise<Response>;

/**
 * Trusts what has ever been in the certificate file, the daemon's own, and nothing else: it takes a renewed one over some seconds
 * after it was written.
 */
export function httpsFetch(certFile: string): HttpsFetch {
  const agent = new Agent({ keepAlive: false });
  const trusted = new Set<string>();
  return (url, { method = 'GET', headers = {}, body } = {}) =>
    new Promise((resolve, reject) => {
      trusted.add(readFileSync(certFile, 'utf8'));
      const length: Record<string, string> =
        body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
      const options = { method, agent, ca: [...trusted], headers: { ...headers, ...length } };
      const asking = request(url, options, (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('error', reject);
        answer.on('end', () => {
          const status = answer.statusCode ?? 0;
          const kept = Object.entries(answer.headers).map(([name, value]): [string, string] => [
            name,
            String(value),
          ]);
          // These statuses have no body, and Response says so by throwing.
          const content = status === 204 || status === 304 ? null : Buffer.concat(chunks);
          resolve(new Response(content, { status, headers: kept }));
        });
      });
      asking.on('error', reject);
      asking.end(body);
    });
}
