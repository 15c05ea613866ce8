/**
 * Imported by a process before its program (`--import`): ends it by kill -9 where it would take the `END_AT_STEP`th step that changes
 * something in `END_IN_FOLDER`, so that a test comes to every moment of a short work without having to hit it by its clock.
 */
import { promises } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const folder = process.env['END_IN_FOLDER'] ?? '';
const last = Number(process.env['END_AT_STEP']);
let taken = 0;

for (const name of ['mkdir', 'mkdtemp', 'open', 'link', 'rename', 'rm'] as const) {
  const step = promises[name] as (...args: readonly unknown[]) => Promise<unknown>;
  const counted = (...args: readonly unknown[]): Promise<unknown> => {
    const isThere = args.some((arg) => typeof arg === 'string' && arg.startsWith(folder));
    if (isThere && args[1] !== 'r' && ++taken === last) process.kill(process.pid, 'SIGKILL');
    return step(...args);
  };
  Object.assign(promises, { [name]: counted });
}
syncBuiltinESMExports();
