/** What the demo shows of the cluster: a table of nodes and the Module's state, as lines that fit. Pure. */
import type { Module } from '../../src/api/module.ts';
import { MODULE } from './cast.ts';
import { cell, fitLine, type Line, type Span, span, type Tone } from './paint.ts';
import type { NodePicture, Picture, PodPicture, PodState } from './picture.ts';

export interface Room {
  /** Columns that a line may fill. */
  readonly columns: number;
  /** Lines there are; without it as many as it takes. */
  readonly rows?: number;
}

/** Below this many columns, pods are shown by a sign alone. */
const FEWEST_COLUMNS_WITH_WORDS = 72;
/** Below this many columns for an image, it is left out. */
const FEWEST_COLUMNS_OF_AN_IMAGE = 12;

interface Columns {
  readonly node: number;
  readonly kernel: number;
  readonly image: number;
  readonly words: boolean;
}

/** Nodes first, then the Module. Where rows are few, conditions go to those that matter, then nodes are counted only. */
export function view(picture: Picture, room: Room): readonly Line[] {
  const rows = room.rows ?? Number.POSITIVE_INFINITY;
  const table = nodeTable(picture, room.columns);
  const module = moduleLines(picture.module);
  const lines = [...shorten(table, rows - module.length - 1), [], ...module];
  return lines.slice(0, Math.max(0, rows)).map((line) => fitLine(line, room.columns));
}

/** At most `rows` lines; the last one then says how many more there are. */
function shorten(lines: readonly Line[], rows: number): readonly Line[] {
  if (lines.length <= rows) return lines;
  const shown = lines.slice(0, Math.max(0, rows - 1));
  return [...shown, [span(`… ${lines.length - shown.length} more`, 'quiet')]].slice(0, Math.max(0, rows));
}

function nodeTable({ nodes }: Picture, columns: number): readonly Line[] {
  const widths = fitColumns(nodes, columns);
  const { node, kernel, image, words } = widths;
  const titles = ['NODE'.padEnd(node), 'KERNEL'.padEnd(kernel), ...(image > 0 ? ['IMAGE'.padEnd(image)] : [])];
  const heading = [...titles, ...(words ? ['LOADER    ', 'PLUGIN'] : ['L', 'P'])].join('  ');
  return [[span(heading, 'quiet')], ...nodes.map((each) => nodeLine(each, widths))];
}

function fitColumns(nodes: readonly NodePicture[], columns: number): Columns {
  const words = columns >= FEWEST_COLUMNS_WITH_WORDS;
  // Room for the mark of a cordoned node, so that the columns stay where they are.
  const node = longest(nodes.map(({ name }) => `${name}*`));
  // Two spaces between columns; `LOADER` and `PLUGIN` take ten columns each, or one.
  const left = columns - node - 2 - (words ? 24 : 6);
  const kernel = Math.max(6, Math.min(longest(nodes.map((each) => each.kernel)), Math.floor(left / 2)));
  const image = Math.min(left - kernel - 2, longest(nodes.map((each) => imageText(each, Number.POSITIVE_INFINITY))));
  return { node, kernel, image: image < FEWEST_COLUMNS_OF_AN_IMAGE ? 0 : image, words };
}

function longest(texts: readonly string[]): number {
  return Math.max(6, ...texts.map((text) => text.length));
}

function nodeLine(node: NodePicture, { node: nameWidth, kernel, image, words }: Columns): Line {
  const name = node.cordoned ? `${node.name}*` : node.name;
  const tone: Tone | undefined = node.up ? undefined : 'bad';
  const text = imageText(node, image);
  const state = (sign: Sign): Span => span(words ? cell(`${sign.sign} ${sign.word}`, 10) : sign.sign, sign.tone);
  return [
    span(`${cell(name, nameWidth)}  `, tone),
    span(`${cell(node.kernel, kernel)}  `, node.up ? undefined : 'quiet'),
    ...(image > 0 ? [span(`${cell(text, image)}  `, node.loader === undefined ? 'quiet' : undefined)] : []),
    state(loaderSign(node)),
    span('  '),
    state(podSign(node.plugin)),
  ];
}

/** The image's reference; its tag alone where that is all there is room for; or why there is none. */
function imageText(node: NodePicture, columns: number): string {
  if (node.loader === undefined) return node.up ? reason(node) : 'the node is not Ready';
  const { image } = node.loader;
  return image.length <= columns ? image : image.slice(image.lastIndexOf(':') + 1);
}

function reason({ selected, kernelState }: NodePicture): string {
  if (!selected) return 'not selected';
  if (kernelState === 'WaitingForImage') return 'waits for its image';
  if (kernelState === 'NoKernelMapping') return 'no mapping matches';
  return '';
}

interface Sign {
  readonly sign: string;
  readonly word: string;
  readonly tone?: Tone;
}

function loaderSign({ loaded, loader }: NodePicture): Sign {
  if (loaded && loader?.state === 'running') return { sign: '✓', word: 'loaded', tone: 'good' };
  return podSign(loader);
}

function podSign(pod: PodPicture | undefined): Sign {
  return pod === undefined ? { sign: '·', word: '', tone: 'quiet' } : SIGNS[pod.state];
}

const SIGNS: Readonly<Record<PodState, Sign>> = {
  starting: { sign: '+', word: 'starting', tone: 'busy' },
  running: { sign: '✓', word: 'running', tone: 'good' },
  failing: { sign: '✗', word: 'failing', tone: 'bad' },
  stopping: { sign: '-', word: 'stopping', tone: 'busy' },
};

const CONDITIONS = ['Ready', 'Progressing', 'Degraded'] as const;

/** What `kubectl get modules` shows, then the conditions with their words. */
function moduleLines(module: Module | undefined): readonly Line[] {
  if (module === undefined) return [[span('There is no Module.', 'quiet')]];
  const { status, metadata } = module;
  const conditions = status?.conditions ?? [];
  const ready = conditions.find(({ type }) => type === 'Ready')?.status ?? '-';
  const leaving = metadata.deletionTimestamp === undefined ? [] : [span('  being deleted', 'busy')];
  const summary: Line = [
    span(MODULE, 'strong'),
    span(`  READY ${ready}  LOADED ${status?.loaded ?? '-'}  KERNELS ${status?.kernelsNumber ?? '-'}`),
    ...leaving,
  ];
  const lines = CONDITIONS.map((type): Line => {
    const condition = conditions.find((each) => each.type === type);
    if (condition === undefined) return [span(`${type.padEnd(12)} -`, 'quiet')];
    const { status, reason, message } = condition;
    const text = `${type.padEnd(12)} ${status.padEnd(8)}`;
    return [span(text, toneOf(type, status)), span(`${reason}: ${message}`)];
  });
  return [summary, ...lines];
}

function toneOf(type: (typeof CONDITIONS)[number], status: string): Tone | undefined {
  if (type === 'Ready') return status === 'True' ? 'good' : 'busy';
  if (status !== 'True') return 'quiet';
  return type === 'Degraded' ? 'bad' : 'busy';
}
