// Preloaded with `--import`: writes the URLs of all modules of the process to the file that LOADED_MODULES names, one a line, at its end.
import { registerHooks } from 'node:module';
import { writeFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

const loaded = new Set();
registerHooks({
  load(url, context, nextLoad) {
    loaded.add(url);
    return nextLoad(url, context);
  },
});
if (isMainThread)
  process.on('exit', () => writeFileSync(process.env.LOADED_MODULES ?? '', [...loaded].join('\n')));
