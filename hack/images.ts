/** `make images`: the images of the operator and of the builder, made by buildah without a daemon. `--help` says what else it can do. */
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import packageJson from '../package.json' with { type: 'json' };
import { withLock } from './control-plane/lock.ts';
import { Progress } from './control-plane/progress.ts';
import { ensureDebianPackages } from './debian-packages.ts';
import { type ImageWeight, weigh } from './images/layout.ts';
import { HELP, type ImagesOptions, readImagesCommandLine } from './images/options.ts';
import { builderPackages } from './images/packages.ts';
import { annotations, baseRecipe, baseTag, type ImageName, type Origin, publicBase } from './images/recipe.ts';
import { ImageStorage } from './images/storage.ts';
import { sizeTable } from './images/table.ts';
import { tool } from './images/tool.ts';
import { interruption } from './interruption.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** About how long each step takes on two cores, for whoever waits. */
const ABOUT = { base: { operator: 'about 5 s', builder: 'about two minutes' }, export: 'about half a minute' };

class Images {
  readonly #options: ImagesOptions;
  readonly #progress: Progress;
  readonly #signal: AbortSignal;
  readonly #storage: ImageStorage;

  constructor(options: ImagesOptions, progress: Progress, signal: AbortSignal) {
    this.#options = options;
    this.#progress = progress;
    this.#signal = signal;
    this.#storage = new ImageStorage(signal);
  }

  async make(): Promise<void> {
    const { images, noExport, push } = this.#options;
    this.#progress.start('Bundling the operator (about 2 s)');
    await tool(process.execPath, [join(ROOT, 'hack', 'bundle.ts')], this.#signal, ROOT);
    await this.#storage.tidy();
    for (const image of images) await this.#build(image);
    await this.#storage.prune();
    const weights = new Map<string, ImageWeight>();
    if (!noExport) for (const image of images) weights.set(nameOf(image), await this.#export(image));
    if (push !== undefined) for (const image of images) await this.#push(image, push);
    this.#progress.done();
    process.stdout.write(noExport ? `${images.map(localName).join('\n')}\n` : sizeTable(weights));
  }

  async #build(image: ImageName): Promise<void> {
    const dockerfile = join(ROOT, 'images', image, 'Dockerfile');
    const base = this.#options.publicBase ? publicBase(await readFile(dockerfile, 'utf8')) : await this.#base(image);
    const origin = await this.#origin(this.#options.publicBase ? base : undefined);
    this.#progress.start(`Building ${localName(image)} (about 10 s)`);
    const labels = [...annotations(image, origin)].flatMap(([name, value]) => [
      `--label=${name}=${value}`,
      `--annotation=${name}=${value}`,
    ]);
    await this.#storage.buildah(
      'build',
      '--isolation=chroot',
      '--format=oci',
      '--layers=false',
      `--pull=${this.#options.publicBase}`,
      `--timestamp=${origin.createdAt}`,
      `--build-arg=BASE=${base}`,
      ...labels,
      `--file=${dockerfile}`,
      `--tag=${localName(image)}`,
      ROOT,
    );
  }

  /** The base of Debian packages, made now if it is not there. */
  async #base(image: ImageName): Promise<string> {
    const recipe = baseRecipe(image, builderPackages());
    const tag = baseTag(image, recipe);
    if (this.#options.freshBase || !(await this.#storage.has(tag))) {
      this.#progress.start(`Making a base of Debian packages for the ${image} (${ABOUT.base[image]})`);
      await this.#storage.makeBase(image, recipe);
    }
    return tag;
  }

  async #origin(baseName: string | undefined): Promise<Origin> {
    const git = async (...args: string[]) => (await tool('git', ['-C', ROOT, ...args], this.#signal)).trim();
    const [commit = '', createdAt = ''] = (await git('log', '-1', '--format=%H %ct')).split(' ');
    const isDirty = (await git('status', '--porcelain')) !== '';
    return {
      version: packageJson.version,
      revision: isDirty ? `${commit}-dirty` : commit,
      createdAt: Number(createdAt),
      licenses: packageJson.license,
      source: this.#options.source,
      baseName,
    };
  }

  async #export(image: ImageName): Promise<ImageWeight> {
    const layout = layoutOf(image);
    this.#progress.start(`Writing ${relative(process.cwd(), layout)} (${ABOUT.export})`);
    // A layout that is there would be added to.
    await rm(layout, { recursive: true, force: true });
    await mkdir(join(layout, '..'), { recursive: true });
    await this.#storage.export(localName(image), `oci:${layout}:${packageJson.version}`);
    return weigh(layout, this.#signal);
  }

  async #push(image: ImageName, to: string): Promise<void> {
    const target = `${to}/${nameOf(image)}:${packageJson.version}`;
    this.#progress.start(`Pushing ${target}`);
    const verify = this.#options.insecure ? ['--dest-tls-verify=false'] : [];
    const from = `oci:${layoutOf(image)}:${packageJson.version}`;
    // As it lies there: the digests stay those of the table.
    await tool(
      'skopeo',
      ['copy', '--quiet', '--preserve-digests', ...verify, from, `docker://${target}`],
      this.#signal,
    );
  }
}

function nameOf(image: ImageName): string {
  return `kmm-${image}`;
}

function localName(image: ImageName): string {
  return `localhost/${nameOf(image)}:${packageJson.version}`;
}

function layoutOf(image: ImageName): string {
  return join(ROOT, 'out', 'images', nameOf(image));
}

const line = readImagesCommandLine(process.argv.slice(2));
switch (line.kind) {
  case 'help':
    process.stdout.write(HELP);
    break;
  case 'refused':
    process.stderr.write(`make images: ${line.problem}.\n`);
    process.exitCode = 1;
    break;
  case 'run':
    await run(line.options);
}

async function run(options: ImagesOptions): Promise<void> {
  const signal = interruption();
  const progress = new Progress();
  try {
    await ensureDebianPackages(progress, signal);
    await withLock('images', () => new Images(options, progress, signal).make(), {
      onWait: (pid) => progress.start(`Another run (pid ${pid}) makes images; waiting for it`),
      signal,
    });
  } catch (error) {
    progress.abandon();
    const said = error instanceof Error ? error.message : String(error);
    process.stderr.write(signal.aborted ? 'Interrupted; the next run begins anew.\n' : `${said}\n`);
    process.exitCode = signal.aborted ? 130 : 1;
  }
}
