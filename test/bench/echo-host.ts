import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@libp2p/yamux';
import { tcp } from '@libp2p/tcp';
import { createLibp2p, type Libp2p } from 'libp2p';

/** The protocol of the bare echo. */
export const ECHO = '/agrinet/bench/echo/1';

/** A libp2p host with nothing but transport, encryption and muxer. */
export function echoHost(listen: string[]): Promise<Libp2p> {
  return createLibp2p({
    addresses: { listen },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
  });
}
