// agrinetd under PM2: pm2 start systemd/ecosystem.config.cjs && pm2 save. `npm ci` first; the data goes to ./data of this project.
// The settings stand in the environment that PM2 is started in, or in env below; secrets best in files: API_KEY_FILE=/path.
const path = require('node:path');

const project = path.join(__dirname, '..');
/** Exit codes that starting again cannot mend (daemon/exit-codes.ts). */
const STAYS = [2, 64, 66, 67, 68, 70, 71, 72, 75, 76, 77, 78, 87, 94, 95];

const common = {
  cwd: project,
  script: path.join(project, 'daemon/agrinet.mjs'),
  // The Node.js that npm brought; PM2's own may be too old.
  interpreter: path.join(project, 'node_modules/.bin/node'),
  exec_mode: 'fork', // one process has the database; a cluster of them would be refused
  autorestart: true,
  stop_exit_codes: [0, ...STAYS],
  exp_backoff_restart_delay: 1000,
  merge_logs: true,
};

module.exports = {
  apps: [
    {
      ...common,
      name: 'agrinetd',
      args: 'start',
      interpreter_args:
        '--max-semi-space-size=16 --heap-growing-percent=40 --min-semi-space-size=4 --preserve-symlinks',
      kill_timeout: 60_000, // it ends within ten seconds; a part that hangs costs three more
      env: { DATA_DIR: path.join(project, 'data'), MALLOC_ARENA_MAX: '2' },
    },
    // With REDIS_URL: pm2 start systemd/ecosystem.config.cjs --only agrinet-worker. More of them: pm2 scale agrinet-worker 3
    {
      ...common,
      name: 'agrinet-worker',
      args: 'worker',
      kill_timeout: 30_000, // it gives its jobs back first
      env: { DATA_DIR: path.join(project, 'data') },
      autostart: process.env.REDIS_URL !== undefined,
    },
  ],
};
