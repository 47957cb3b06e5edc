import type { Event } from '../kube/core.ts';
import { metaTime } from '../kube/objects.ts';

export type EventType = 'Normal' | 'Warning';

/** The object an event is about. */
export interface EventSubject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
}

export interface EventBodyInput {
  readonly record: {
    readonly regarding: EventSubject;
    readonly type: EventType;
    readonly reason: string;
    readonly message: string;
  };
  readonly name: string;
  readonly count: number;
  /** Milliseconds since the epoch. */
  readonly firstAt: number;
  readonly lastAt: number;
  readonly component: string;
  readonly instance: string;
}

/** The API server refuses longer notes; source: k8s.io/kubernetes/pkg/apis/core/validation/events.go, noteLengthLimit. */
const LONGEST_MESSAGE_BYTES = 1024;

/** Gives the message if it fits into an Event, else as much of it as does, ending in `...`. Never cuts a character. */
export function fitMessage(message: string): string {
  const bytes = Buffer.from(message);
  if (bytes.length <= LONGEST_MESSAGE_BYTES) return message;
  let end = LONGEST_MESSAGE_BYTES - 3;
  // In UTF-8 the bytes after a character's first one begin with the bits 10.
  while (end > 0 && ((bytes[end] ?? 0) & 0b1100_0000) === 0b1000_0000) end--;
  return `${bytes.toString('utf8', 0, end)}...`;
}

/** The Event as it is created, in the core/v1 form that `kubectl describe` prints. */
export function eventBody(input: EventBodyInput): Event & { readonly metadata: { readonly namespace: string } } {
  const { record, component, instance } = input;
  const { regarding } = record;
  return {
    apiVersion: 'v1',
    kind: 'Event',
    // Events about cluster-scoped objects stand in `default`, where the server demands them and kubectl looks.
    metadata: { name: input.name, namespace: regarding.namespace ?? 'default' },
    involvedObject: {
      apiVersion: regarding.apiVersion,
      kind: regarding.kind,
      name: regarding.name,
      ...(regarding.namespace === undefined ? {} : { namespace: regarding.namespace }),
      ...(regarding.uid === undefined ? {} : { uid: regarding.uid }),
    },
    type: record.type,
    reason: record.reason,
    message: record.message,
    count: input.count,
    firstTimestamp: metaTime(input.firstAt),
    lastTimestamp: metaTime(input.lastAt),
    source: { component },
    reportingComponent: component,
    reportingInstance: instance,
  };
}
