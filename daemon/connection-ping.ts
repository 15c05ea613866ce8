import type { Connection, Stream } from '@libp2p/interface';
import { byteStream } from '@libp2p/utils';
import type { Env } from '../protocols/env.ts';
import { AgrinetError } from '../protocols/errors.ts';
import { bytesEqual } from '../protocols/wire/bytes.ts';

/** libp2p's ping, but over one given connection: with two to a peer, the dead one must be found too. */
export async function pingConnection(
  env: Pick<Env, 'monotonic' | 'bytes'>,
  connection: Connection,
  protocol: string,
  signal: AbortSignal,
): Promise<number> {
  const started = env.monotonic();
  let stream: Stream | undefined;
  try {
    stream = await connection.newStream(protocol, { signal, runOnLimitedConnection: true });
    const bytes = byteStream(stream, { maxBufferSize: 1024 });
    const sent = env.bytes(32);
    await bytes.write(sent, { signal });
    const got = await bytes.read({ bytes: sent.length, signal });
    if (!bytesEqual(sent, got.subarray()))
      throw new AgrinetError('ping-mismatch', 'a ping came back altered');
    await stream.close({ signal });
    return env.monotonic() - started;
  } catch (error) {
    stream?.abort(error instanceof Error ? error : new Error('ping failed'));
    throw error;
  }
}
