/** The bare part under live latency: libp2p with tcp, noise and yamux that echoes. Prints its multiaddr. */
import { echoHost, ECHO } from './echo-host.ts';

const host = await echoHost(['/ip4/127.0.0.1/tcp/0']);
await host.handle(ECHO, (stream) => {
  stream.addEventListener('message', (event) => {
    stream.send(event.data);
  });
});
process.stdout.write(`${String(host.getMultiaddrs()[0])}\n`);
process.on('SIGTERM', () => void host.stop());
