/** What a person would look at when something did not come: all of it in a folder, the most telling lines on the screen. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { RealNode } from './real-node.ts';
import type { TestedCluster } from './tested-cluster.ts';

/** Names of the files, and what asks kubectl for their content. */
const QUERIES: Readonly<Record<string, readonly string[]>> = {
  'nodes.txt': ['get', 'nodes', '-o', 'wide', '--show-labels'],
  'nodes.yaml': ['get', 'nodes', '-o', 'yaml'],
  'modules.yaml': ['get', 'modules', '-A', '-o', 'yaml'],
  'daemonsets.yaml': ['get', 'daemonsets', '-A', '-o', 'yaml'],
  'pods.txt': ['get', 'pods', '-A', '-o', 'wide'],
  'pods.yaml': ['get', 'pods', '-A', '-o', 'yaml'],
  'events.txt': ['get', 'events', '-A', '--sort-by=.lastTimestamp'],
};

const GUEST_QUERIES: Readonly<Record<string, string>> = {
  'kubelet.log': 'tail -n 400 /var/log/kubelet.log',
  'kube-proxy.log': 'tail -n 100 /var/log/kube-proxy.log',
  'containerd.log': 'tail -n 200 /var/log/containerd.log',
  'dmesg.txt': 'dmesg | tail -n 200',
  'modules.txt': 'cat /proc/modules',
  'processes.txt': 'ps aux; free -m; uptime',
};

/** What is printed, and how many of its last lines. */
const SHOWN: readonly (readonly [file: string, lines: number])[] = [
  ['nodes.txt', 5],
  ['pods.txt', 20],
  ['events.txt', 20],
  ['operator.log', 8],
];
const SHOWN_OF_GUESTS: typeof SHOWN = [
  ['dmesg.txt', 6],
  ['kubelet.log', 5],
  ['containerd.log', 3],
  ['console.log', 3],
];

/** Gathers into the folder and gives what to print. Never throws: what cannot be had says why instead. */
export async function diagnose(cluster: TestedCluster, folder: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  const gathered = new Map<string, string>();
  await Promise.all([
    ...Object.entries(QUERIES).map(async ([file, args]) => {
      gathered.set(file, await spoken(() => cluster.kubectl(args, { signal: AbortSignal.timeout(30_000) })));
    }),
    spoken(() => cluster.operatorLog()).then((text) => gathered.set('operator.log', text)),
    ...cluster.nodes.map(async (node) => {
      for (const [file, text] of await guestFacts(node)) gathered.set(`${node.name}-${file}`, text);
    }),
  ]);
  for (const [file, text] of gathered) await writeFile(join(folder, file), text);
  const shown = [
    ...SHOWN,
    ...cluster.nodes.flatMap(({ name }) => SHOWN_OF_GUESTS.map(([file, lines]) => [`${name}-${file}`, lines] as const)),
  ];
  const excerpts = shown.map(([file, lines]) => `--- ${file}\n${lastLines(gathered.get(file) ?? '', lines)}`);
  return `${excerpts.join('\n')}\nAll of it lies in ${folder}.`;
}

async function guestFacts(node: RealNode): Promise<readonly (readonly [string, string])[]> {
  const facts: (readonly [string, string])[] = [];
  const { consoleLog } = node;
  if (consoleLog !== undefined) facts.push(['console.log', await spoken(() => readFile(consoleLog, 'utf8'))]);
  for (const [file, command] of Object.entries(GUEST_QUERIES)) {
    const text = await spoken(async () => (await node.exec(command, AbortSignal.timeout(60_000))).output);
    facts.push([file, text]);
  }
  facts.push(['module-events.txt', await spoken(async () => (await node.exec(`cat ${node.tracing}/trace`)).output)]);
  return facts;
}

async function spoken(ask: () => Promise<string>): Promise<string> {
  try {
    return await ask();
  } catch (error) {
    return `cannot be had: ${error instanceof Error ? error.message : String(error)}\n`;
  }
}

function lastLines(text: string, count: number): string {
  return text
    .trimEnd()
    .split('\n')
    .slice(-count)
    .map((line) => line.slice(0, 240))
    .join('\n');
}
