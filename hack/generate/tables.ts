import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type GeneratedFile, markdownFile } from './files.ts';
import { type Row, table } from './markdown.ts';

/** A reference page that is a table which stands in the code, beside what it is about. */
interface TablePage {
  readonly page: string;
  readonly title: string;
  readonly introduction: string;
  readonly source: string;
  /** Name of what the source exports: the rows, an object whose values they are, or a function that gives them. */
  readonly table: string;
  /** More tables below it. */
  readonly sections?: readonly Section[];
}

type Section = Pick<TablePage, 'title' | 'introduction' | 'source' | 'table'>;

const PAGES: readonly TablePage[] = [
  {
    page: 'docs/reference/conditions.md',
    title: 'Conditions',
    introduction:
      'A Module has the conditions `Ready`, `Progressing` and `Degraded`. Each has one of these reasons, and a message that names the first cause and how many more there are.',
    source: 'src/controllers/module/reasons.ts',
    table: 'CONDITION_REASONS',
  },
  {
    page: 'docs/reference/events.md',
    title: 'Events',
    introduction: 'Events stand on the Module: `kubectl describe module NAME` prints them.',
    source: 'src/controllers/module/reasons.ts',
    table: 'EVENT_REASONS',
  },
  {
    page: 'docs/reference/metrics.md',
    title: 'Metrics',
    introduction: `Prometheus metrics, served at \`/metrics\` on \`--metrics-bind-address\`. Those of controllers, queues, requests and leader election have the names that controller-runtime and client-go use, so dashboards made for those fit. A histogram \`x\` is served as \`x_bucket\`, \`x_sum\` and \`x_count\`.

The label \`controller\` is \`module\`, \`node\` or \`image\`. The states of \`kmm_module_nodes\` are:

- \`loaded\`: the module is in the kernel of this boot.
- \`loading\`: the node has its load label, and the module is not in yet.
- \`outdated\`: loaded, by a loader that is to be replaced.
- \`replacing\`: its loader is being replaced now.
- \`leaving\`: the module is being unloaded.
- \`skipped\`: left out, because the node is not Ready, has a taint that is not tolerated, or has not reported a kernel; whatever else it waits for.
- \`unmapped\`: no mapping matches its kernel.
- \`waiting\`: for an image that has to be built, for a mapping that cannot be resolved, or for a loader of another kernel to go.`,
    source: 'src/controllers/metrics.ts',
    table: 'metricsReference',
  },
  {
    page: 'docs/reference/flags.md',
    title: 'Flags and environment of the operator',
    introduction: 'Flags of `kmm manager`. A flag wins over its environment variable.',
    source: 'src/commands/config.ts',
    table: 'managerFlagReference',
  },
  {
    page: 'docs/reference/build-errors.md',
    title: 'Build errors',
    introduction: `What a build says when it fails, and the cure. Blame \`user\`: not tried again until the Module, or the ConfigMap of its Dockerfile, changes. Blame \`infrastructure\`: tried again, with backoff, as often as \`--build-attempts\` says.

## Registries

See [Registries](../usage/registries.md). The fields named are those for the image that is pushed; where a base image fails, the sentence names \`build.pull\` instead of \`build.push\`.`,
    source: 'src/build/pipeline/registry-errors.ts',
    table: 'registrySentences',
    sections: [
      {
        title: 'The cluster’s own registry',
        introduction:
          'Of [the registry that the cluster serves](../usage/registries.md#with-no-registry-at-all), in the place of those above.',
        source: 'src/build/pipeline/registry-errors.ts',
        table: 'clusterRegistrySentences',
      },
      {
        title: 'Git',
        introduction: 'Of `build.git`. In front of each stands which repository cannot be read.',
        source: 'src/build/pipeline/git-fault.ts',
        table: 'gitSentences',
      },
      {
        title: 'Dockerfile and image',
        introduction:
          'Examples: each names the instruction, file or kernel that it is about. After those of a RUN the last lines of the log follow.',
        source: 'hack/generate/build-sentences.ts',
        table: 'buildSentences',
      },
    ],
  },
];

/**
 * The pages whose tables there are.
 *
 * @throws Error when a source is there but does not export its table as a table of rows
 */
export async function tablePages(root: string): Promise<readonly GeneratedFile[]> {
  const files: GeneratedFile[] = [];
  for (const page of PAGES) {
    if (!existsSync(join(root, page.source))) continue;
    const parts = [`# ${page.title}\n\n${page.introduction}\n\n${table(await rowsAt(root, page))}`];
    for (const section of page.sections ?? []) {
      parts.push(`## ${section.title}\n\n${section.introduction}\n\n${table(await rowsAt(root, section))}`);
    }
    files.push(markdownFile(page.page, parts.join('\n\n')));
  }
  return files;
}

async function rowsAt(root: string, section: Section): Promise<readonly Row[]> {
  const exported: Readonly<Record<string, unknown>> = await import(pathToFileURL(join(root, section.source)).href);
  const exportedTable = exported[section.table];
  const rows = rowsOf(typeof exportedTable === 'function' ? exportedTable() : exportedTable);
  if (rows === undefined) throw new Error(`${section.source} does not export ${section.table} as a table of objects`);
  return rows;
}

function rowsOf(value: unknown): readonly Row[] | undefined {
  const rows: readonly unknown[] = typeof value === 'object' && value !== null ? Object.values(value) : [];
  return rows.length > 0 && rows.every(isRow) ? rows : undefined;
}

function isRow(value: unknown): value is Row {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
