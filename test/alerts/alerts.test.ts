/** The alerts as Prometheus itself evaluates them: promtool, from Debian's package prometheus. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { ALERTS, alertGroups } from '../../hack/generate/alerts.ts';
import { metricsReference } from '../../src/controllers/metrics.ts';
import { run } from '../harness/run.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kmm-alerts-'));
  await writeFile(join(folder, 'rules.yaml'), stringify({ groups: alertGroups() }));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Story {
  readonly what: string;
  readonly alert: string;
  /** Series by name and labels, and their values a minute apart, in promtool's notation. */
  readonly series: Readonly<Record<string, string>>;
  /** Minutes after which the alert is looked at. */
  readonly at: number;
  /** Labels of what fires, and the summary; undefined: nothing does. */
  readonly fires?: { readonly labels: Readonly<Record<string, string>>; readonly summary: string };
}

const MODULE = { namespace: 'drivers', name: 'kmod' };
const OF_MODULE = 'namespace="drivers",name="kmod"';
const LEASE = { name: 'kmm.sigs.x-k8s.io', namespace: 'kmm-system' };
/** What a replica says of itself; the labels but `name` are those of what Prometheus scrapes. */
const leads = (pod: string, namespace = LEASE.namespace): string =>
  `leader_election_master_status{name="${LEASE.name}",namespace="${namespace}",pod="${pod}"}`;
const NONE_LEADS = { labels: LEASE, summary: 'No operator of KMM is at work in namespace kmm-system.' };

const STORIES: readonly Story[] = [
  {
    what: 'a build that stays failed is told of, with the Module and the number of kernels',
    alert: 'KMMBuildFailing',
    series: { [`kmm_module_kernels{${OF_MODULE},state="BuildFailed"}`]: '2x30' },
    at: 10,
    fires: { labels: MODULE, summary: 'The image of 2 kernels of Module drivers/kmod cannot be built.' },
  },
  {
    what: 'a build that failed and went well at the next try is not told of',
    alert: 'KMMBuildFailing',
    series: { [`kmm_module_kernels{${OF_MODULE},state="BuildFailed"}`]: '1x3 stale _x26' },
    at: 10,
  },
  {
    what: 'a loader that fails is told of after ten minutes, with the reason',
    alert: 'KMMLoaderFailing',
    series: { [`kmm_module_kernels{${OF_MODULE},state="LoaderFailing"}`]: '1x30' },
    at: 11,
    fires: {
      labels: { ...MODULE, state: 'LoaderFailing' },
      summary: 'Loaders of Module drivers/kmod fail for 1 kernels: LoaderFailing.',
    },
  },
  {
    what: 'kernels that are well or in progress fire nothing',
    alert: 'KMMLoaderFailing',
    series: {
      [`kmm_module_kernels{${OF_MODULE},state="Loaded"}`]: '3x30',
      [`kmm_module_kernels{${OF_MODULE},state="Loading"}`]: '1x30',
    },
    at: 20,
  },
  {
    what: 'a node that has waited for more than 45 minutes is told of',
    alert: 'KMMNodeWaiting',
    // promtool's time begins at 0: the node has waited since then.
    series: { [`kmm_module_node_waiting_since_timestamp_seconds{${OF_MODULE}}`]: '0x90' },
    at: 50,
    fires: { labels: MODULE, summary: 'A node has waited for Module drivers/kmod for 50m 0s.' },
  },
  {
    what: 'nodes that wait one after the other, as in a rollout, are not told of',
    alert: 'KMMNodeWaiting',
    series: { [`kmm_module_node_waiting_since_timestamp_seconds{${OF_MODULE}}`]: '0+60x90' },
    at: 80,
  },
  {
    what: 'an operator that leads is not told of, nor is its standby',
    alert: 'KMMOperatorNotLeading',
    series: { [leads('a')]: '1x60', [leads('b')]: '0x60' },
    at: 30,
  },
  {
    what: 'replicas none of which leads are told of',
    alert: 'KMMOperatorNotLeading',
    series: { [leads('a')]: '1x5 0x60', [leads('b')]: '0x60' },
    at: 12,
    fires: NONE_LEADS,
  },
  {
    // The alert could not fire once: kube-scheduler, kube-controller-manager and other operators have series of that name.
    what: 'replicas none of which leads are told of although the leaders of other programs are scraped too',
    alert: 'KMMOperatorNotLeading',
    series: {
      [leads('a')]: '0x60',
      'leader_election_master_status{name="kube-scheduler",namespace="kmm-system",pod="s"}': '1x60',
    },
    at: 12,
    fires: NONE_LEADS,
  },
  {
    what: 'an operator that is not there at all is told of',
    alert: 'KMMOperatorNotLeading',
    series: { up: '0x60' },
    at: 6,
    fires: NONE_LEADS,
  },
  {
    what: 'a change of leader within a minute is not told of',
    alert: 'KMMOperatorNotLeading',
    series: { [leads('a')]: '1x5 0 0 1x60' },
    at: 12,
  },
  {
    // Two operators, each with namespaces of its own to watch: the other one's series hid that ours was gone.
    what: 'an operator that is gone is told of although one in another namespace leads',
    alert: 'KMMOperatorNotLeading',
    series: { [leads('a')]: '1x5 stale', [leads('c', 'storage-kmm')]: '1x60' },
    at: 12,
    fires: NONE_LEADS,
  },
  {
    what: 'an operator none of whose replicas leads is told of although one in another namespace leads',
    alert: 'KMMOperatorNotLeading',
    series: { [leads('a')]: '0x60', [leads('c', 'storage-kmm')]: '1x60' },
    at: 12,
    fires: NONE_LEADS,
  },
  {
    what: 'an operator that leads is not told of although one in another namespace is gone',
    alert: 'KMMOperatorNotLeading',
    series: { [leads('a')]: '1x60', [leads('c', 'storage-kmm')]: '0x60' },
    at: 30,
  },
  {
    what: 'replicas that come and go, as in a crash loop, and do not lead are told of all the same',
    alert: 'KMMOperatorNotLeading',
    series: { [leads('a')]: '0 0 stale _ 0 0 stale _ 0 0 stale _ 0 0' },
    at: 12,
    fires: NONE_LEADS,
  },
  {
    what: 'a watch that brings nothing for minutes is told of, with its kind',
    alert: 'KMMWatchSilent',
    series: { 'kmm_watch_last_event_age_seconds{kind="nodes",namespace="kmm-system",pod="a",instance="i"}': '0+60x60' },
    at: 20,
    fires: {
      labels: { kind: 'nodes', namespace: 'kmm-system', pod: 'a', instance: 'i' },
      summary: 'The operator has heard nothing about nodes for 20m 0s.',
    },
  },
  {
    what: 'a watch that brings a bookmark a minute is not told of',
    alert: 'KMMWatchSilent',
    series: { 'kmm_watch_last_event_age_seconds{kind="nodes",namespace="kmm-system",pod="a",instance="i"}': '60x60' },
    at: 20,
  },
  {
    what: 'a quiet watch of Events, which is opened again and answered every 90 s, is not told of',
    alert: 'KMMWatchSilent',
    series: {
      'kmm_watch_last_event_age_seconds{kind="refusals",namespace="kmm-system",pod="a",instance="i"}': '0 60 30 '
        .repeat(20)
        .trim(),
    },
    at: 20,
  },
  {
    what: 'a watch of Events that is opened again and again and not answered is told of',
    alert: 'KMMWatchSilent',
    series: {
      'kmm_watch_last_event_age_seconds{kind="refusals",namespace="kmm-system",pod="a",instance="i"}': '0+60x60',
    },
    at: 20,
    fires: {
      labels: { kind: 'refusals', namespace: 'kmm-system', pod: 'a', instance: 'i' },
      summary: 'The operator has heard nothing about refusals for 20m 0s.',
    },
  },
];

describe('an alert', () => {
  test('is one that Prometheus can read', async () => {
    const { code, stdout, stderr } = await run('promtool', ['check', 'rules', join(folder, 'rules.yaml')]);
    expect([code, stdout + stderr]).toEqual([0, expect.stringContaining(`${ALERTS.length} rules found`)]);
  });

  test.each(STORIES)('$alert: $what', async ({ alert, series, at, fires }) => {
    const file = join(folder, `${crypto.randomUUID()}.yaml`);
    const definition = ALERTS.find(({ name }) => name === alert);
    const expected =
      fires === undefined
        ? []
        : [
            {
              exp_labels: { ...fires.labels, severity: definition?.severity },
              exp_annotations: {
                summary: fires.summary,
                description: definition?.meaning,
                runbook_url: `docs/usage/runbooks.md#${alert.toLowerCase()}`,
              },
            },
          ];
    await writeFile(
      file,
      stringify({
        rule_files: ['rules.yaml'],
        evaluation_interval: '1m',
        tests: [
          {
            interval: '1m',
            input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
            alert_rule_test: [{ eval_time: `${at}m`, alertname: alert, exp_alerts: expected }],
          },
        ],
      }),
    );
    const { code, stdout, stderr } = await run('promtool', ['test', 'rules', file]);
    expect([code, code === 0 ? '' : stdout + stderr]).toEqual([0, '']);
  });

  test('reads only metrics that the operator serves, with labels that they have', () => {
    const served = new Map(metricsReference().map(({ name, labels }) => [name, labels]));
    for (const { name, expression } of ALERTS) {
      const [metric = ''] = /\b(kmm|leader)_\w+/.exec(expression) ?? [];
      expect([name, served.has(metric)]).toEqual([name, true]);
      // Prometheus adds the namespace of the pod that it scrapes where the operator itself says none.
      const labels = ['namespace', ...(served.get(metric) ?? [])];
      for (const [, label = ''] of expression.matchAll(/[{,](\w+)=/g)) expect(labels).toContain(label);
    }
  });

  test('has a story in which it fires and one in which it does not', () => {
    for (const { name } of ALERTS) {
      const stories = STORIES.filter(({ alert }) => alert === name);
      expect([name, stories.some(({ fires }) => fires), stories.some(({ fires }) => !fires)]).toEqual([
        name,
        true,
        true,
      ]);
    }
  });
});
