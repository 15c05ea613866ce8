import { runCommandLine } from './cli/command-line.ts';

// What any command writes is this user's alone: the database, backups, feed files.
process.umask(0o077);
// Whoever reads stderr may be gone: nobody is left to be told, and the exit code says the rest.
process.stderr.on('error', () => undefined);

// The exit code is set and the process left to end: what then still holds it open is a leak to be found.
await runCommandLine(process.argv.slice(2));
