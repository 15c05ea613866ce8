import { createHost, type Host } from '../../daemon/libp2p-host.ts';
import { systemEnv } from '../../daemon/system-env.ts';
import { createLogger } from '../../daemon/logger.ts';
import { loadSettings } from '../../daemon/settings.ts';
import type { Identity } from '../../protocols/wire/identity.ts';
import { NET } from './forge.ts';

/** A libp2p host with nothing of a node behind it, which takes everybody for registered. The caller stops it. */
export function bareHost(identity: Identity): Promise<Host> {
  return createHost({
    env: systemEnv,
    identity,
    network: NET,
    listen: ['/ip4/127.0.0.1/tcp/0'],
    isRegistered: () => true,
    strangerSlots: 8,
    logger: createLogger(loadSettings({ LOG_LEVEL: 'silent' })),
  });
}
