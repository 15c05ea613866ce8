import { serveApp } from '../../api/app.ts';
import type { ApiContext } from '../../api/context.ts';
import type { Env } from '../../protocols/env.ts';
import { every } from '../../protocols/env.ts';
import type { OwnApiKey } from '../api-key.ts';
import { clockLine } from '../clock-line.ts';
import { openTlsCertificate, type TlsCertificate } from '../federation/tls-certificate.ts';
import type { Listening } from '../http.ts';
import type { Logger } from '../logger.ts';
import type { NodeClock } from '../node-clock.ts';
import { definePart, type Face } from '../parts.ts';
import type { Base } from './base.ts';
import type { Node } from './running.ts';

/** The certificate at this node's public URL; a hangup makes it check the files again. */
export function defineCertificate({
  settings,
  env,
  logger,
  onHangup,
}: Pick<Base, 'settings' | 'env' | 'logger'> & { readonly onHangup: (look: () => void) => void }) {
  return definePart<TlsCertificate>('certificate', () => {
    const tls = openTlsCertificate({
      env,
      certFile: settings.tlsCertFile,
      keyFile: settings.tlsKeyFile,
      onProblem: (error) => logger.error({ err: error }, 'new TLS certificate not loaded'),
      onRenewed: (fingerprint) => logger.info({ fingerprint }, 'TLS certificate renewed'),
    });
    onHangup(() => tls.look());
    return { face: tls, stop: () => tls.stop() };
  });
}

/** Between two checks of a clock that is wrong. */
const CLOCK_LOOK_MS = 1000;

/** Makes the first key known: at once, or as soon as the clock can be right. */
export function defineFirstKey(
  { clock, env, logger }: Pick<Node, 'clock' | 'env' | 'logger'>,
  apiKey: Pick<OwnApiKey, 'publish'>,
) {
  return definePart('first key', async () => {
    if (clock.credible()) {
      await apiKey.publish();
      return { face: undefined };
    }
    return { face: undefined, stop: publishLater(clock, env, logger, apiKey) };
  });
}

/** Returns how to end it. */
function publishLater(
  clock: Pick<NodeClock, 'wall' | 'credible'>,
  env: Pick<Env, 'after'>,
  logger: Pick<Logger, 'info' | 'error'>,
  apiKey: Pick<OwnApiKey, 'publish'>,
): () => void {
  for (const line of clockLine(clock)) logger.error(line);
  const timer = every(env, CLOCK_LOOK_MS, () => {
    if (!clock.credible()) return;
    apiKey.publish().then(
      () => {
        timer.cancel();
        logger.info('the clock is set: keys can be issued again');
      },
      (error: unknown) => logger.error({ err: error }, 'the first API key could not be written; retrying'),
    );
  });
  return () => timer.cancel();
}

/** The HTTP API on HOST and PORT. */
export function defineHttp(
  { settings, outside, env, logger }: Pick<Base, 'settings' | 'outside' | 'env' | 'logger'>,
  {
    context,
    tls,
    listening,
  }: {
    readonly context: Face<ApiContext>;
    readonly tls: Face<TlsCertificate>;
    readonly listening: Listening;
  },
) {
  return definePart('HTTP', async () => {
    const http = await outside.serve({ settings, app: serveApp(context.face), tls: tls.face, env });
    listening.url = http.url;
    logger.info({ url: http.url }, 'listening');
    return { face: http, stop: () => http.stop() };
  });
}

/**
 * Its stop ends what would keep the server from closing: streams, and requests that wait for a first answer of the peers, which get
 * an error instead of being cut off.
 */
export function defineLongRequests(node: Pick<Node, 'rejoin'>, closing: AbortController) {
  return definePart('long requests', () => ({
    face: undefined,
    stop() {
      closing.abort();
      node.rejoin.stop();
    },
  }));
}
