/**
 * `node daemon/make-api-key.ts DATA_DIR`: creates the daemon's key where there is none, as its first start would. For the installer.
 */
import { openApiKey } from './api-key.ts';
import { systemEnv } from './system-env.ts';

const dataDir = process.argv[2];
if (dataDir === undefined) throw new TypeError('usage: make-api-key.ts DATA_DIR');
const { publish } = await openApiKey(dataDir, { apiKey: undefined }, systemEnv);
await publish();
