/** What of charts/kmm is derived: everything that also stands somewhere in the code. Templates are written by hand. */
import { stringify } from 'yaml';
import type { CustomResourceDefinition } from '../../src/api/crd.ts';
import { OPENSHIFT_RULES } from '../../src/controllers/image/openshift-rbac.ts';
import type { PolicyRule } from '../../src/kube/rbac.ts';
import { CHART_VALUES, type Group, valueRows, valuesSchema } from './chart-values.ts';
import { type GeneratedFile, HEADER, markdownFile, yamlFile } from './files.ts';
import { table } from './markdown.ts';
import { mergeRules, operatorRules, type RoleRule } from './rbac.ts';

export const CHART = 'charts/kmm';

export interface ChartInput {
  readonly crd: CustomResourceDefinition;
  readonly rules: readonly PolicyRule[];
  /** The release, as in package.json. */
  readonly version: string;
  /** Groups of alert rules, as in a PrometheusRule. */
  readonly alerts: readonly object[];
}

export function chartFiles({ crd, rules, version, alerts }: ChartInput): readonly GeneratedFile[] {
  const kept = {
    ...crd,
    metadata: { ...crd.metadata, annotations: { 'helm.sh/resource-policy': 'keep', ...crd.metadata.annotations } },
  };
  return [
    yamlFile(`${CHART}/Chart.yaml`, {
      apiVersion: 'v2',
      name: 'kmm',
      description: 'Kernel Module Management: out-of-tree kernel modules on Kubernetes',
      type: 'application',
      version,
      appVersion: version,
      kubeVersion: '>=1.30.0-0',
    }),
    { path: `${CHART}/values.yaml`, content: `# ${HEADER}\n${valuesYaml(CHART_VALUES, '')}` },
    { path: `${CHART}/values.schema.json`, content: `${JSON.stringify(valuesSchema(), null, 2)}\n` },
    yamlFile(`${CHART}/files/modules-crd.yaml`, kept),
    { path: `${CHART}/templates/_rules.tpl`, content: rulesTemplate(rules) },
    // In a file of its own: to helm, the templates of Prometheus would be its own.
    yamlFile(`${CHART}/files/alerts.yaml`, { groups: alerts }),
    markdownFile(
      'docs/reference/chart-values.md',
      '# Values of the Helm chart\n\n`helm show values charts/kmm` prints them. A value that is not among them, or is of the wrong kind, is refused with its path.\n\n' +
        table(valueRows()),
    ),
  ];
}

/** values.yaml with each description above its value. */
function valuesYaml({ values }: Group, indent: string): string {
  return Object.entries(values)
    .map(([name, each]) => {
      const comment = each.description === '' ? '' : `${indent}# ${each.description}\n`;
      if (each.kind === 'group') return `${comment}${indent}${name}:\n${valuesYaml(each, `${indent}  `)}`;
      return comment + indented(stringify({ [name]: each.default }, { lineWidth: 0 }), indent);
    })
    .join(indent === '' ? '\n' : '');
}

function indented(text: string, indent: string): string {
  return text.replace(/^(?=.)/gm, indent);
}

function rulesTemplate(rules: readonly PolicyRule[]): string {
  const { cluster, namespaces, ownNamespace } = operatorRules(rules);
  const openshift = mergeRules(OPENSHIFT_RULES.filter(({ scope = 'cluster' }) => scope === 'cluster'));
  const openshiftNamespace = mergeRules(OPENSHIFT_RULES.filter(({ scope }) => typeof scope === 'object'));
  const parts = Object.entries({ cluster, namespaces, ownNamespace, openshift, openshiftNamespace });
  const defines = parts.map(([name, each]) => `{{- define "kmm.rules.${name}" -}}\n${rulesYaml(each)}{{- end }}\n`);
  return `{{- /* ${HEADER} */ -}}\n${defines.join('\n')}`;
}

function rulesYaml(rules: readonly RoleRule[]): string {
  return stringify(rules, { lineWidth: 0 });
}
