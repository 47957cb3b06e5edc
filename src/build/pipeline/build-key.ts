import { createHash } from 'node:crypto';
import { canonicalJson } from '../../kernel/canonical-json.ts';
import type { BuildRequest } from './request.ts';

/** Rises when what the builder makes of the same input changes: then everything is built anew. */
const BUILDER_VERSION = 1;

/** What only the pod can see, beside the request. */
export type KeySource =
  | { readonly kind: 'dockerfile'; readonly text: string }
  | { readonly kind: 'git'; readonly commit: string; readonly contextDir: string; readonly dockerfile: string }
  /** Nothing is built: this image is signed. */
  | { readonly kind: 'image'; readonly reference: string };

/**
 * The build key: sha256, in hex, of what decides the result. It is a label of the image, by which the next run knows that nothing is to
 * be done. A moved base image, and what is in a Secret, are not in it: `trigger` is for those.
 *
 * @param certificate fingerprint of the certificate that signs; undefined where nothing is signed
 */
export function buildKey(request: BuildRequest, source: KeySource, certificate: string | undefined): string {
  const decides = {
    builder: BUILDER_VERSION,
    source,
    buildArgs: request.buildArgs,
    kernel: request.kernel,
    arch: request.arch,
    secrets: [...request.secrets].sort(),
    sign:
      request.sign === undefined
        ? null
        : { certificate: certificate ?? null, filesToSign: request.sign.filesToSign ?? null },
    trigger: request.trigger ?? null,
  };
  return createHash('sha256').update(canonicalJson(decides)).digest('hex');
}

/** Of a request: what a stage leaves for the next is of no use to another request. */
export function requestHash(request: BuildRequest): string {
  return createHash('sha256').update(canonicalJson(request)).digest('hex');
}
