/** What the two images are: pure facts, from which bases, labels and names follow. */
import { createHash } from 'node:crypto';

export const IMAGE_NAMES = ['operator', 'builder'] as const;
export type ImageName = (typeof IMAGE_NAMES)[number];

/** Debian 12: what the public bases in the Dockerfiles are made of, too. */
const SUITE = 'bookworm';

/** How mmdebstrap makes a base. */
export interface BaseRecipe {
  readonly variant: 'extract' | 'apt';
  readonly packages: readonly string[];
  /** Shell commands that run when the packages are in, with the root folder as `$1`. No text of anybody's is in them. */
  readonly hooks: readonly string[];
}

/** Languages and manuals are for people at a terminal. The licences stay. */
const LEFT_OUT = ['man', 'info', 'locale', 'doc', 'lintian', 'bug'].map((folder) => `/usr/share/${folder}/*`);
const KEPT = ['/usr/share/doc/*/copyright', '/usr/share/locale/locale.alias'];

/** Unpacked, not installed: such a base has no dpkg, no shell and not even their users. Like Google's distroless. */
const OPERATOR_BASE: BaseRecipe = {
  variant: 'extract',
  packages: ['base-files', 'libc6', 'libstdc++6'],
  hooks: [
    // base-files wants an awk, which nothing here calls; libc6 brings programs for whoever installs it, and tables for iconv(3).
    'rm -rf "$1"/usr/bin/* "$1"/usr/sbin/* "$1"/sbin/* "$1"/bin/* "$1"/usr/lib/*/gconv',
    'rm -rf "$1"/etc/update-motd.d "$1"/etc/dpkg',
    'printf "root:x:0:0:root:/:/sbin/nologin\\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\\n" > "$1"/etc/passwd',
    'printf "root:x:0:\\nnonroot:x:65532:\\n" > "$1"/etc/group',
    'printf "hosts: files dns\\n" > "$1"/etc/nsswitch.conf',
  ],
};

/** mmdebstrap copies them from the machine that it runs on. */
const FORGET_THIS_MACHINE = ['rm -f "$1"/etc/hostname "$1"/etc/resolv.conf'];

/** @param builderPackages of images/builder/packages */
export function baseRecipe(image: ImageName, builderPackages: readonly string[]): BaseRecipe {
  return image === 'operator' ? OPERATOR_BASE : { variant: 'apt', packages: builderPackages, hooks: [] };
}

/** The words behind `mmdebstrap`. Debian's own servers are its default. */
export function mmdebstrapArguments({ variant, packages, hooks }: BaseRecipe, target: string): readonly string[] {
  return [
    `--variant=${variant}`,
    `--include=${packages.join(',')}`,
    ...LEFT_OUT.map((path) => `--dpkgopt=path-exclude=${path}`),
    ...KEPT.map((path) => `--dpkgopt=path-include=${path}`),
    '--aptopt=APT::Install-Recommends "false"',
    // The others never run for what is only unpacked.
    ...[...hooks, ...FORGET_THIS_MACHINE].map(
      (hook) => `--${variant === 'extract' ? 'extract' : 'customize'}-hook=${hook}`,
    ),
    // Runtimes make their own; a user who is not root could not unpack these.
    '--skip=output/dev',
    '--quiet',
    SUITE,
    target,
  ];
}

/** What a base is kept under: another as soon as anything that it is made of is written differently. */
export function baseTag(image: ImageName, recipe: BaseRecipe): string {
  const content = JSON.stringify(mmdebstrapArguments(recipe, ''));
  return `localhost/kmm-base-${image}:${createHash('sha256').update(content).digest('hex').slice(0, 16)}`;
}

/** What is known of a build. */
export interface Origin {
  readonly version: string;
  /** The commit, with `-dirty` where files differ from it. */
  readonly revision: string;
  /** Seconds since 1970, the commit's. */
  readonly createdAt: number;
  readonly licenses: string;
  /** Undefined where nobody has said where the sources can be had. */
  readonly source: string | undefined;
  /** Undefined for a base that was made here: nobody else could look it up. */
  readonly baseName: string | undefined;
}

const TITLES: Readonly<Record<ImageName, { readonly title: string; readonly description: string }>> = {
  operator: {
    title: 'Kernel Module Management, operator',
    description: 'Loads out-of-tree kernel modules on the nodes of a Kubernetes cluster',
  },
  builder: {
    title: 'Kernel Module Management, builder',
    description: 'Builds, signs and pushes images of kernel modules in a pod',
  },
};

/** Source: github.com/opencontainers/image-spec/annotations.md. They are labels as well: tools read one or the other. */
export function annotations(image: ImageName, origin: Origin): ReadonlyMap<string, string> {
  const { source, baseName } = origin;
  const known: readonly (readonly [string, string | undefined])[] = [
    ['title', TITLES[image].title],
    ['description', TITLES[image].description],
    ['version', origin.version],
    ['revision', origin.revision],
    ['created', new Date(origin.createdAt * 1000).toISOString().replace('.000Z', 'Z')],
    ['licenses', origin.licenses],
    ['source', source],
    ['base.name', baseName],
  ];
  return new Map(
    known.flatMap(([name, value]): [string, string][] =>
      value === undefined ? [] : [[`org.opencontainers.image.${name}`, value]],
    ),
  );
}

/** `BASE` as the Dockerfile has it. */
export function publicBase(dockerfile: string): string {
  const base = /^ARG BASE=(\S+)$/m.exec(dockerfile)?.[1];
  if (base === undefined) throw new Error('the Dockerfile has no line "ARG BASE=..."');
  return base;
}
