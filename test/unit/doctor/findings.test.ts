import { execFileSync } from 'node:child_process';
import { afterEach, describe, expect, it } from 'vitest';
import { finding, type FindingFields } from '../../../daemon/doctor/finding.ts';
import type { FindingKind } from '../../../daemon/doctor/finding-kind.ts';
import { type FindingId, FINDINGS } from '../../../daemon/doctor/findings.ts';
import { SETTINGS } from '../../../daemon/settings-table.ts';
import { agrinetHere } from '../../support/cli.ts';
import { ALARMS } from './cases/alarms.ts';
import { undoAll } from './cases/bench.ts';
import type { CasesOf, FindingCase } from './cases/case.ts';
import { FEDERATION } from './cases/federation.ts';
import { MACHINE } from './cases/machine.ts';
import { MIRROR } from './cases/mirror.ts';
import { WORK } from './cases/work.ts';

/** A finding without a case does not compile. */
const CASES: CasesOf<FindingId> = { ...MACHINE, ...FEDERATION, ...WORK, ...MIRROR, ...ALARMS };
const KINDS: readonly (readonly [FindingId, FindingKind])[] = Object.entries(FINDINGS) as [
  FindingId,
  FindingKind,
][];
const isOne = (cases: FindingCase | readonly FindingCase[]): cases is FindingCase => 'plant' in cases;
const casesOf = (id: FindingId): readonly FindingCase[] => {
  const cases = CASES[id];
  return isOne(cases) ? [cases] : cases;
};

afterEach(undoAll);

describe('every finding is planted, found, fixed as its remedy says, and gone', () => {
  for (const [id, { check, severity, lasting }] of KINDS)
    for (const { name, message, lacking, plant } of casesOf(id))
      it.skipIf(lacking !== undefined)(
        `${id}${name === undefined ? '' : `, ${name}`}${lacking === undefined ? '' : ` (${lacking})`}`,
        async () => {
          const { found: all, remedy } = await plant();
          const found = all.find((each) => each.id === id && message.test(each.message));
          expect(found, JSON.stringify(all, null, 1)).toMatchObject({ id, check, severity });
          if (found === undefined) return;
          expect(found.message).not.toMatch(/[\p{Cc}\p{Cf}]/u);
          expect(found.remedy).not.toMatch(/[{}]/);
          const left = (await remedy(found)).filter((each) => each.id === id);
          if (lasting === undefined) expect(left, found.remedy).toEqual([]);
          else expect(left).toHaveLength(1);
        },
        120_000,
      );
});

describe('what mends', () => {
  it('holds a path or an address as one word, whatever is in it', () => {
    const HOSTILE = "/srv/Agri net/d'eau $(touch x);`rm y`";
    const names = KINDS.flatMap(([id, { remedy }]) =>
      [...remedy.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => [id, name] as const),
    );
    expect(names.length).toBeGreaterThan(20);
    for (const [id, name] of names) {
      const { remedy } = finding(id, {
        message: '',
        values: { [name]: HOSTILE },
      } as unknown as FindingFields<FindingId>);
      const [, word = ''] = /('\/srv.*?rm y`')/.exec(remedy) ?? [];
      expect(execFileSync('sh', ['-c', `printf %s ${word}`], { encoding: 'utf8' }), remedy).toBe(HOSTILE);
    }
  });

  it('stays only where nobody has to act', () => {
    const lasting = KINDS.filter((kind) => kind[1].lasting !== undefined);
    expect(lasting.filter((kind) => kind[1].severity !== 'info')).toEqual([]);
  });

  it('is a command that exists, or a setting', async () => {
    const commands = new Set<string>();
    const names: ReadonlySet<string> = new Set(Object.values(SETTINGS).map(({ env }) => env));
    for (const [, { remedy }] of KINDS) {
      for (const [, words = ''] of remedy.matchAll(/agrinet((?: [a-z][a-z-]*(?![a-z]*'))+)/g))
        commands.add(words.trim());
      for (const [, name = ''] of remedy.matchAll(/(?<![{<\w])([A-Z][A-Z_]{3,})=/g))
        expect(names.has(name) || name === 'BACKEND_URL', name).toBe(true);
      // These refuse to run beside the daemon that the finding may be about.
      if (/agrinet (fsck|rebuild|restore)/.test(remedy))
        expect(remedy).toMatch(/while the daemon is stopped/);
    }
    expect(commands.size).toBeGreaterThan(10);
    const helps = new Map<string, Promise<string>>();
    for (const command of commands) {
      const [name = ''] = command.split(' ');
      if (!helps.has(name))
        helps.set(
          name,
          agrinetHere(undefined, [name, '--help']).then(({ code, stdout }) => `${code} ${stdout}`),
        );
      expect(await helps.get(name)).toMatch(new RegExp(`^0 Usage: agrinet ${name}[ \\n]`));
    }
  }, 120_000);
});
