/** config/rbac and config/manager: the chart as helm renders it with its default values, a file for each template. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';
import { CHART } from './chart.ts';
import { type GeneratedFile, yamlFile } from './files.ts';
import { LABELS, OPERATOR_NAMESPACE } from './rbac.ts';

const run = promisify(execFile);

/** The name under which the documented command installs the chart. */
const RELEASE = 'kmm';
const FOLDERS = ['rbac', 'manager'];
/** What says that helm made an object, which kustomize's is not. */
const HELM_LABELS = ['helm.sh/chart', 'app.kubernetes.io/managed-by'];

/** The kustomize face of the chart. @throws Error in helm's words when the chart does not render */
export async function kustomizeFiles(root: string, helm: string): Promise<readonly GeneratedFile[]> {
  const rendered = await mkdtemp(join(tmpdir(), 'kmm-chart-'));
  try {
    const args = ['template', RELEASE, join(root, CHART), '--namespace', OPERATOR_NAMESPACE, '--output-dir', rendered];
    await run(helm, args, { env: { ...process.env, HELM_CACHE_HOME: rendered } });
    const files: GeneratedFile[] = [];
    for (const folder of FOLDERS) {
      const templates = join(rendered, 'kmm', 'templates', folder);
      const names = (await readdir(templates)).sort();
      for (const name of names) {
        const text = await readFile(join(templates, name), 'utf8');
        files.push(yamlFile(`config/${folder}/${name}`, ...objectsIn(text).map(withoutHelmLabels)));
      }
      const first = folder === 'rbac' ? ['namespace.yaml'] : [];
      files.push(kustomization(`config/${folder}`, [...first, ...names]));
    }
    return [
      ...files,
      namespaceFile(),
      kustomization('config/default', ['../crd', ...FOLDERS.map((each) => `../${each}`)]),
    ];
  } finally {
    await rm(rendered, { recursive: true, force: true });
  }
}

export function kustomization(folder: string, resources: readonly string[]): GeneratedFile {
  return yamlFile(`${folder}/kustomization.yaml`, {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    resources,
  });
}

/** helm makes the namespace itself (--create-namespace), and a chart cannot say what labels it gets. */
function namespaceFile(): GeneratedFile {
  const levels = ['enforce', 'warn', 'audit'].map((mode) => [`pod-security.kubernetes.io/${mode}`, 'restricted']);
  return yamlFile('config/rbac/namespace.yaml', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: OPERATOR_NAMESPACE, labels: { ...LABELS, ...Object.fromEntries(levels) } },
  });
}

interface Labelled {
  readonly metadata: { readonly labels?: Readonly<Record<string, string>> };
}

function objectsIn(text: string): readonly Labelled[] {
  return parseAllDocuments(text).flatMap((document) => {
    const object: Labelled | null = document.toJS();
    return object === null ? [] : [object];
  });
}

function withoutHelmLabels(object: Labelled): Labelled {
  const labels = Object.entries(object.metadata.labels ?? {}).filter(([key]) => !HELM_LABELS.includes(key));
  return { ...object, metadata: { ...object.metadata, labels: Object.fromEntries(labels) } };
}
