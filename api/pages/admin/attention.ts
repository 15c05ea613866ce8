import { html } from 'hono/html';
import { errorCode } from '../../../protocols/errors.ts';
import type { DoctorReport, FindingRow } from '../../ports/doctor.ts';
import type { JobsPort } from '../../ports/jobs.ts';
import type { Action } from '../page.ts';
import type { TextName } from '../texts.ts';
import { actionButton, type Html, type View } from '../view.ts';

const SEVERITIES = {
  error: 'attention.error',
  warning: 'attention.warning',
  info: 'attention.info',
} as const satisfies Record<FindingRow['severity'], TextName>;

/** What the doctor finds, worst first: each with a button where one helps, and the command. */
export function attention(view: View, { findings, unchecked }: DoctorReport): Html {
  const { t } = view;
  const urgent = findings.filter(({ severity }) => severity !== 'info');
  const others = findings.filter(({ severity }) => severity === 'info');
  return html`<h2>${t('attention.title')}</h2>
    ${urgent.length === 0 ? html`<p class="on">● ${t('attention.none')}</p>` : urgent.map((each) => findingCard(view, each))}
    ${
      unchecked.length === 0
        ? ''
        : html`<p class="muted">
            ${t('attention.unchecked', { checks: unchecked.map(({ check }) => check).join(', ') })}
          </p>`
    }
    ${others.length === 0 ? '' : html`<h2>${t('attention.good-to-know')}</h2>`}
    ${others.map((each) => findingCard(view, each))}`;
}

function findingCard(view: View, found: FindingRow): Html {
  const { t } = view;
  const { severity, message, remedy } = found;
  return html`<div class="card finding ${severity}">
    <p><strong>${t(SEVERITIES[severity])}:</strong> <span lang="en">${message}</span></p>
    ${buttonOf(view, found) ?? ''}
    <p>
      <small>${t('attention.remedy')} <code lang="en">${remedy}</code></small>
    </p>
  </div>`;
}

/** The button that does what the remedy says; undefined where only a command or the world outside helps. */
function buttonOf(view: View, { id, subject, remedy }: FindingRow): Html | undefined {
  const { t } = view;
  if (id === 'job-dead') return actionButton(view, '/admin/attention/retry-jobs', t('attention.retry'));
  if (id === 'entries-lacking' || id === 'ops-pending' || id === 'ops-pending-long')
    return actionButton(view, '/admin/attention/sync', t('attention.sync'));
  if (remedy.endsWith('agrinet alarms --clear'))
    return actionButton(view, '/admin/attention/clear-alarms', t('attention.clear'));
  if (subject === undefined) return undefined;
  const step = STEPS.get(id);
  if (step === undefined) return undefined;
  const path = `/admin/federation/${encodeURIComponent(subject)}/${step.path}`;
  return actionButton(view, path, t(step.text), { describes: subject });
}

/** Findings whose subject is a node, and what its page can do about it. */
const STEPS: ReadonlyMap<string, { readonly path: string; readonly text: TextName }> = new Map([
  ['node-pending', { path: 'approve', text: 'federation.approve' }],
  ['node-revoked', { path: 'approve', text: 'federation.approve' }],
  ['node-suspended', { path: 'resume', text: 'federation.resume' }],
]);

/** Of several dead jobs for the same thing one is restarted: false for the others. */
async function retried(jobs: JobsPort, id: string): Promise<boolean> {
  try {
    await jobs.retry(id);
    return true;
  } catch (error) {
    if (errorCode(error) !== 'job-not-dead') throw error;
    return false;
  }
}

/** Dead jobs restarted at once. */
const RETRIED = 100;

export const ATTENTION_ACTIONS: readonly Action[] = [
  {
    access: 'operator',
    path: '/admin/attention/retry-jobs',
    async act({ node, t }) {
      const { jobs } = await node.jobs.list({ state: 'dead', limit: RETRIED });
      let count = 0;
      for (const { id } of jobs) if (await retried(node.jobs, id)) count++;
      return { to: '/admin', notice: t('attention.retry.done', { count }) };
    },
  },
  {
    access: 'operator',
    path: '/admin/attention/sync',
    async act({ node, t }) {
      const done = await node.exchange.syncAll();
      return { to: '/admin', notice: t('jobs' in done ? 'attention.sync.done' : 'attention.sync.soon') };
    },
  },
  {
    access: 'operator',
    path: '/admin/attention/clear-alarms',
    act: ({ node, t }) => ({
      to: '/admin',
      notice: t('attention.clear.done', { count: node.clearAlarms() }),
    }),
  },
];
