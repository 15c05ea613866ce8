/** A process that does not stop when it is asked to, and says by messages what it has heard. */
import { stopSignalled, stopSignals } from '../../daemon/service/signals.ts';
import { systemEnv } from '../../daemon/system-env.ts';

setTimeout(() => undefined, 60_000);
const stopped = stopSignalled(systemEnv);
for (const signal of stopSignals()) process.on(signal, () => process.send?.(`heard ${signal}`));
process.send?.('ready');
await stopped;
process.send?.('first');
