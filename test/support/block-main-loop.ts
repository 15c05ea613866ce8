import { waitFor } from './wait.ts';
import type { DaemonProcess } from './daemon.ts';

/** To be set for the daemon, so that its debugger takes a free port. */
export const DEBUGGABLE = { NODE_OPTIONS: '--inspect-port=0' };

/** Makes a running daemon's main loop turn for ever, by its own debugger: nothing in it answers from then on. */
export async function blockMainLoop(daemon: DaemonProcess): Promise<void> {
  daemon.child.kill('SIGUSR1'); // Node.js opens its debugger
  const url = await waitFor(
    'the debugger',
    () => /Debugger listening on (ws:\S+)/.exec(daemon.output())?.[1],
  );
  const socket = new WebSocket(url);
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('open', () => resolve());
    socket.addEventListener('error', () => reject(new Error('the debugger does not answer')));
  });
  socket.send(JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression: 'for (;;);' } }));
}
