import type { KernelModule, NoModule } from './kernel-module.ts';
import { plainSerial, type Signer } from './sign-material.ts';

/** The loader mounts the host's modules over these, so nobody sees what the image has there. */
const HIDDEN = ['/lib/modules/', '/usr/lib/modules/'];
const MOST_NAMES = 5;

export interface Wanted {
  readonly kernel: string;
  /** In Go's words. */
  readonly arch: string;
}

/**
 * Why no loader could load a module from an image with these files: one sentence that names what there is, and one that says what to do.
 * Undefined where a loader can.
 */
export function problemOfImage(
  files: readonly (KernelModule | NoModule)[],
  { kernel, arch }: Wanted,
): string | undefined {
  const modules = files.filter((file) => file.kind === 'module');
  if (modules.length === 0) return noModules(files, kernel);
  const ofKernel = modules.filter((module) => module.kernel === kernel);
  if (ofKernel.length === 0) {
    const found = list(modules, (module) => `${module.path} for ${module.kernel === '' ? 'no kernel' : module.kernel}`);
    return (
      `The image has no module for kernel ${kernel}: it has ${found}. ` +
      'Build against the headers of the kernel that the build argument KERNEL_FULL_VERSION names.'
    );
  }
  const ofArch = ofKernel.filter((module) => module.arch === arch);
  if (ofArch.length === 0) {
    const found = list(ofKernel, (module) => `${module.path} for ${module.arch}`);
    return `The image has no module for ${arch}, the architecture of the nodes: it has ${found}. Compile for the architecture that the build argument ARCH names.`;
  }
  if (ofArch.some(({ path }) => !HIDDEN.some((folder) => path.startsWith(folder)))) return undefined;
  const found = list(ofArch, ({ path }) => path);
  return (
    `The image has the module for kernel ${kernel} only where the loader cannot see it, because the node’s own modules are mounted there: ${found}. ` +
    `Put it below /opt/lib/modules/${kernel} and load it with modprobe -d /opt.`
  );
}

function noModules(files: readonly (KernelModule | NoModule)[], kernel: string): string {
  const broken = files.filter((file) => file.kind === 'other');
  const found =
    broken.length === 0
      ? ''
      : ` What has such a name is none: ${list(broken, ({ path, problem }) => `${path} ${problem}`)}.`;
  return (
    `The image has no kernel module (*.ko, *.ko.xz, *.ko.zst, *.ko.gz) for kernel ${kernel}.${found} ` +
    `Let the Dockerfile copy the compiled module below /opt/lib/modules/${kernel}.`
  );
}

/** Which of the files that were to be signed are not, or by another; undefined where all are. */
export function problemOfSignatures(files: readonly (KernelModule | NoModule)[], signer: Signer): string | undefined {
  const wrong = files.filter((file) => file.kind === 'other' || !isSignedBy(file, signer));
  if (wrong.length === 0) return undefined;
  const found = list(wrong, (file) => {
    if (file.kind === 'other') return `${file.path} ${file.problem}`;
    return file.signed
      ? `${file.path} is signed by ${file.signer ?? 'nobody'} (${file.sigKey ?? 'no key'})`
      : `${file.path} is not signed`;
  });
  return `Not every module carries the signature of the certificate of sign.certSecret (serial number ${signer.serial}): ${found}.`;
}

function isSignedBy(module: KernelModule, signer: Signer): boolean {
  return (
    module.signed &&
    plainSerial(module.sigKey ?? '') === signer.serial &&
    (signer.commonName === undefined || module.signer === signer.commonName)
  );
}

function list<T>(items: readonly T[], text: (item: T) => string): string {
  const more = items.length > MOST_NAMES ? ` and ${items.length - MOST_NAMES} more` : '';
  return `${items.slice(0, MOST_NAMES).map(text).join(', ')}${more}`;
}
