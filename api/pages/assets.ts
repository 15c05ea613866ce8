import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import { AgrinetError } from '../../protocols/errors.ts';
import { router, type Router } from '../route.ts';

const require = createRequire(import.meta.url);
const own = (name: string): string => new URL(`files/${name}`, import.meta.url).pathname;

const SCRIPT = 'text/javascript; charset=utf-8';
const STYLE = 'text/css; charset=utf-8';

/** Every file that a page may load, by name: our own, and files of installed packages. */
const FILES = {
  'agrinet.css': { path: own('agrinet.css'), type: STYLE },
  'agrinet.js': { path: own('agrinet.js'), type: SCRIPT },
  'agrinet.svg': { path: own('agrinet.svg'), type: 'image/svg+xml' },
  'htmx.js': { path: require.resolve('htmx.org/dist/htmx.min.js'), type: SCRIPT },
  'hx-sse.js': { path: require.resolve('htmx.org/dist/ext/hx-sse.min.js'), type: SCRIPT },
  'uplot.js': { path: require.resolve('uplot/dist/uPlot.iife.min.js'), type: SCRIPT },
  'uplot.css': { path: require.resolve('uplot/dist/uPlot.min.css'), type: STYLE },
  'leaflet.js': { path: require.resolve('leaflet/dist/leaflet.js'), type: SCRIPT },
  'leaflet.css': { path: require.resolve('leaflet/dist/leaflet.css'), type: STYLE },
  'topojson.js': { path: require.resolve('topojson-client/dist/topojson-client.min.js'), type: SCRIPT },
  'countries.json': { path: require.resolve('world-atlas/countries-110m.json'), type: 'application/json' },
} as const satisfies Readonly<Record<string, { readonly path: string; readonly type: string }>>;
export type AssetName = keyof typeof FILES;

const compressed = {
  br: (bytes: Buffer) => brotliCompressed(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } }),
  gzip: promisify(gzip),
};
const brotliCompressed = promisify(brotliCompress);
type Encoding = keyof typeof compressed;

/** Digits of the hash in the address of a file. */
const DIGITS = 12;
const contents = new Map<string, Buffer>(
  await Promise.all(
    Object.entries(FILES).map(async ([name, { path }]) => [name, await readFile(path)] as const),
  ),
);
const hashes = new Map(
  [...contents].map(([name, bytes]) => [
    name,
    createHash('sha256').update(bytes).digest('hex').slice(0, DIGITS),
  ]),
);
/** Compressed files by name and encoding, made once. */
const encoded = new Map<string, Promise<Buffer>>();

/** The address of a file, which changes with its content. */
export function assetUrl(name: AssetName): string {
  return `/assets/${hashes.get(name) ?? ''}/${name}`;
}

/** All files together as a browser gets them, bytes. */
export async function assetBytes(encoding: Encoding): Promise<Readonly<Record<string, number>>> {
  const sizes = [...contents.keys()].map(
    async (name) => [name, (await encodedFile(name, encoding)).length] as const,
  );
  return Object.fromEntries(await Promise.all(sizes));
}

function encodedFile(name: string, encoding: Encoding): Promise<Buffer> {
  const id = `${encoding} ${name}`;
  let made = encoded.get(id);
  if (made === undefined) {
    made = compressed[encoding](contents.get(name) ?? Buffer.alloc(0));
    encoded.set(id, made);
  }
  return made;
}

function encodingOf(accepted = ''): Encoding | undefined {
  const names = accepted.split(',').map((each) => each.trim().split(';')[0]);
  if (names.includes('br')) return 'br';
  return names.includes('gzip') ? 'gzip' : undefined;
}

export function assetRoutes(): Router {
  const app = router();
  app.get('/assets/:hash/:name', async (c) => {
    const { hash, name } = c.req.param();
    const bytes = hashes.get(name) === hash ? contents.get(name) : undefined;
    if (bytes === undefined) throw new AgrinetError('not-found', 'Not found');
    c.header('content-type', FILES[name as AssetName].type); // a name of `contents`
    c.header('cache-control', 'public, max-age=31536000, immutable');
    c.header('vary', 'accept-encoding');
    c.header('x-content-type-options', 'nosniff');
    c.header('cross-origin-resource-policy', 'same-origin');
    const encoding = encodingOf(c.req.header('accept-encoding'));
    if (encoding === undefined) return c.body(new Uint8Array(bytes));
    c.header('content-encoding', encoding);
    return c.body(new Uint8Array(await encodedFile(name, encoding)));
  });
  return app;
}
