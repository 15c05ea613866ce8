import { runCommandLine } from './cli/command-line.ts';

// Files that any command writes are readable by this user only: the database, backups, feed files.
process.umask(0o077);
// The reader of stderr may be gone: then nobody can be told, and the exit code says the rest.
process.stderr.on('error', () => undefined);

// The exit code is set and the process left to end: what then still holds it open is a leak to be found.
await runCommandLine(process.argv.slice(2));
