/**
 * Loaded into a daemon before its program (`NODE_OPTIONS=--import=…`): once its log has said "stopped", writes what still holds the
 * process open to the file that END_FILE names, as JSON.
 */
import { writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { isMainThread } from 'node:worker_threads';

/** The pipes of standard output and standard error do not hold a process, and the look itself is an immediate. */
const HARMLESS: ReadonlySet<string> = new Set(['Immediate', 'PipeWrap']);
/** Turns of the loop in which what is under way may end: the last line goes out, the lock is given back. */
const TURNS = 200;

const file = process.env['END_FILE'];
if (isMainThread && file !== undefined) {
  let seen = false;
  const write: unknown = Reflect.get(Socket.prototype, 'write');
  Socket.prototype.write = function (this: Socket, ...args: unknown[]): boolean {
    if (!seen && String(args[0]).includes('"msg":"stopped"')) {
      seen = true;
      const look = (turns: number): void => {
        if (turns > 0) setImmediate(look, turns - 1);
        else
          writeFileSync(
            file,
            JSON.stringify(process.getActiveResourcesInfo().filter((what) => !HARMLESS.has(what))),
          );
      };
      setImmediate(look, TURNS);
    }
    return typeof write === 'function' && Boolean(Reflect.apply(write, this, args));
  };
}
