import { isRecord } from '../../kernel/json-record.ts';
import { type FailureCause, STEPS, type Step } from './failure.ts';

/** Milliseconds. */
export type Durations = Readonly<Partial<Record<Step, number>>>;

/** A kernel module in the image, as modinfo(8) tells of it. */
export interface ModuleFile {
  readonly path: string;
  readonly vermagic: string;
  readonly signer?: string;
}

/** A stage of the pipeline has done its part; what it found is in the work folder. */
export interface PassedReport {
  readonly result: 'passed';
  readonly durations: Durations;
}

export interface ImageReport {
  /** `built`: by this run. `present`: it was there with the same build key. `vendor`: it was there, and nobody of ours made it. */
  readonly result: 'built' | 'present' | 'vendor';
  /** `repository@sha256:...`: what loaders run. */
  readonly image: string;
  /** The reference that was found or pushed. */
  readonly reference: string;
  /** Absent where a vendor made the image. */
  readonly buildKey?: string;
  /** Of the Git source. */
  readonly commit?: string;
  /** As many as have room. */
  readonly files?: readonly ModuleFile[];
  /** How many there are in all. */
  readonly filesNumber?: number;
  /** Whether the build took layers of an earlier one. */
  readonly cached?: boolean;
  readonly durations: Durations;
}

export interface FailureReport {
  readonly result: 'failed';
  readonly step: Step;
  readonly cause: FailureCause;
  /** What the user reads: subject, fact, next step. */
  readonly message: string;
  /** The last lines of the tool that failed. */
  readonly log?: string;
  readonly durations: Durations;
}

/** What a build container leaves in its termination message, as JSON. */
export type Report = PassedReport | ImageReport | FailureReport;

/**
 * Bytes. The kubelet keeps the last 4,096 of a termination message: of a longer one the head would be gone, and the rest is no JSON.
 * Source: k8s.io/kubernetes/pkg/kubelet/container/runtime.go, MaxContainerTerminationMessageLength.
 */
export const LONGEST_REPORT = 3500;

/** JSON of at most 3,500 bytes: for that, files are left out from the end, or the front of the log and then the end of the message. */
export function encodeReport(report: Report): string {
  let left = report;
  for (;;) {
    const json = JSON.stringify(left);
    const tooMany = Buffer.byteLength(json) - LONGEST_REPORT;
    if (tooMany <= 0) return json;
    const shorter = shorten(left, tooMany);
    if (shorter === undefined)
      throw new Error(`a build report of ${Buffer.byteLength(json)} bytes cannot be shortened`);
    left = shorter;
  }
}

/** Without something of the least use; undefined where nothing is left that could be left out. */
function shorten(report: Report, tooManyBytes: number): Report | undefined {
  if (report.result === 'passed') return undefined;
  if (report.result !== 'failed') {
    const { files = [] } = report;
    return files.length === 0 ? undefined : { ...report, files: files.slice(0, -1) };
  }
  // One character is at most six bytes of JSON (\u0000), so this is never more than is needed.
  const characters = Math.ceil(tooManyBytes / 6);
  const { log = '', message } = report;
  if (log !== '') return { ...report, log: log.slice(characters) };
  return message === '' ? undefined : { ...report, message: message.slice(0, -characters) };
}

/** Undefined for a text that no `kmm build-image` wrote: of a container that was killed, or that never started. */
export function decodeReport(text: string): Report | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  return isReport(value) ? value : undefined;
}

/** The fields that are acted on; whoever can write a termination message can write others' wrongly, and they are only shown. */
function isReport(value: unknown): value is Report {
  if (!isRecord(value) || !isRecord(value.durations)) return false;
  switch (value.result) {
    case 'passed':
      return true;
    case 'built':
    case 'present':
    case 'vendor':
      return typeof value.image === 'string' && typeof value.reference === 'string';
    case 'failed':
      return (
        STEPS.some((step) => step === value.step) &&
        (value.cause === 'user' || value.cause === 'infrastructure') &&
        typeof value.message === 'string'
      );
    default:
      return false;
  }
}
