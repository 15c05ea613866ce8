import type { Command } from 'commander';

/** An example of each command that does something, by its words: what its help ends with. */
export const EXAMPLES: Readonly<Record<string, string>> = {
  start: 'REGION=Nyanza PORT=5000 agrinet start',
  status: 'agrinet status --json',
  join: 'agrinet join https://market.example.org --key K3yFromItsOperator',
  import: 'agrinet import prices.csv --region Nyanza --region Kisumu',
  demo: 'agrinet demo --exit',
  open: 'agrinet open',
  digest: 'agrinet digest --json',
  doctor: 'agrinet doctor --diff https://market.example.org --deep',
  'identity show': 'agrinet identity show',
  'identity export': 'agrinet identity export node.key',
  'identity import': 'agrinet identity import node.key',
  nodes: 'agrinet nodes --json',
  'nodes approve': 'agrinet nodes approve https://market.example.org',
  'nodes revoke': 'agrinet nodes revoke https://market.example.org',
  'nodes add': 'agrinet nodes add https://old.example.org --region Nyanza --key-file old-backend.key',
  'nodes set': 'agrinet nodes set https://market.example.org --quota-mb 500',
  'nodes fence': 'agrinet nodes fence https://market.example.org off',
  suspend: 'agrinet suspend https://market.example.org',
  resume: 'agrinet resume https://market.example.org',
  conflicts: 'agrinet conflicts --json',
  'contract show': 'agrinet contract show note.json',
  'contract verify': 'agrinet contract verify note.json',
  'keys list': 'agrinet keys list --user amina',
  'keys issue': 'agrinet keys issue --user amina --scopes read,write --expires 90d',
  'keys revoke': 'agrinet keys revoke 3f9ab2c1',
  'keys rotate': 'agrinet keys rotate 3f9ab2c1 --grace 1h',
  'users list': 'agrinet users list',
  'users show': 'agrinet users show amina',
  'users set':
    'agrinet users set amina --name "Amina Otieno" --language sw --quiet "21:00-06:00 Africa/Nairobi"',
  'users remove': 'agrinet users remove amina',
  'wants list': 'agrinet wants list --user amina',
  'wants add': 'agrinet wants add --user amina --label "For the mill" "q=maize&region=Nyanza"',
  'wants remove': 'agrinet wants remove 3f9ab2c1 --user amina',
  'audit list': 'agrinet audit list --json',
  'audit verify': 'agrinet audit verify',
  'trends show': 'agrinet trends show --commodity maize --region Nyanza',
  'trends publish': 'agrinet trends publish',
  'trends verify': 'agrinet trends verify --json',
  sync: 'agrinet sync',
  'jobs list': 'agrinet jobs list --state dead',
  'jobs retry': 'agrinet jobs retry 3f9ab2c1',
  worker: 'BACKEND_URL=http://127.0.0.1:5000 REDIS_URL=redis://127.0.0.1:6379/1 agrinet worker',
  rejoin: 'agrinet rejoin',
  alarms: 'agrinet alarms --clear',
  scrub: 'agrinet scrub --json',
  checkpoint: 'agrinet checkpoint --dry-run',
  forget: 'agrinet forget https://market.example.org --dry-run',
  backup: 'agrinet backup node.backup --with-keys --passphrase-file passphrase',
  restore: 'agrinet restore node.backup --passphrase-file passphrase',
  'export-feed': 'agrinet export-feed listings.feed',
  'import-feed': 'agrinet import-feed listings.feed',
  'mirror status': 'agrinet mirror status --json',
  'mirror init': 'agrinet mirror init --take-over',
  'mirror verify': 'agrinet mirror verify',
  'mirror repair': 'agrinet mirror repair',
  rebuild: 'agrinet rebuild',
  fsck: 'agrinet fsck --json',
};

/** Ends the help of a command, and of all that are below it, with its example; `path` is what is above it. */
export function addExamples(command: Command, path = ''): void {
  const words = `${path} ${command.name()}`.trim();
  const example = EXAMPLES[words];
  if (example !== undefined) command.addHelpText('after', `\nExample:\n  ${example}`);
  for (const each of command.commands) addExamples(each, words);
}
