import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { eventBody, fitMessage } from './event.ts';

describe('fitMessage', () => {
  it('leaves a message of 1024 bytes as it is, and cuts one of 1025 to 1024 with three dots', () => {
    expect(fitMessage('x'.repeat(1024))).toBe('x'.repeat(1024));
    expect(fitMessage('x'.repeat(1025))).toBe(`${'x'.repeat(1021)}...`);
  });

  it.each([
    ['two', 'é'],
    ['three', '世'],
    ['four', '🐧'],
  ])('does not cut a character of %s bytes in half', (_bytes, character) => {
    for (let shift = 0; shift < 4; shift++) {
      const cut = fitMessage('x'.repeat(shift) + character.repeat(600));
      expect(cut).not.toContain('\uFFFD');
      expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(1024);
      expect(Buffer.byteLength(cut)).toBeGreaterThan(1024 - Buffer.byteLength(character));
    }
  });

  it('gives at most 1024 bytes and always a beginning of the message, whatever it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 200, maxLength: 1_500 }), (message) => {
        const cut = fitMessage(message);
        expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(1024);
        expect(cut === message || message.startsWith(cut.slice(0, -3))).toBe(true);
      }),
      // Shrinking a thousand graphemes takes minutes and tells no more.
      { endOnFailure: true },
    );
  });
});

describe('eventBody', () => {
  const input = {
    record: {
      regarding: { apiVersion: 'kmm.sigs.x-k8s.io/v1beta1', kind: 'Module', namespace: 'ns', name: 'm', uid: 'u' },
      type: 'Normal',
      reason: 'Loaded',
      message: 'It is loaded.',
    },
    name: 'm.1',
    count: 2,
    firstAt: Date.UTC(2026, 0, 2, 3, 4, 5, 999),
    lastAt: Date.UTC(2026, 0, 2, 3, 5, 0, 1),
    component: 'kmm',
    instance: 'pod-1',
  } as const;

  it('is what kubectl describe looks for: the object by kind, namespace, name and uid; times in whole seconds', () => {
    expect(eventBody(input)).toEqual({
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: 'm.1', namespace: 'ns' },
      involvedObject: input.record.regarding,
      type: 'Normal',
      reason: 'Loaded',
      message: 'It is loaded.',
      count: 2,
      firstTimestamp: '2026-01-02T03:04:05Z',
      lastTimestamp: '2026-01-02T03:05:00Z',
      source: { component: 'kmm' },
      reportingComponent: 'kmm',
      reportingInstance: 'pod-1',
    });
  });

  it('puts an event about a cluster-scoped object into the namespace default', () => {
    const regarding = { apiVersion: 'v1', kind: 'Node', name: 'n' };
    const body = eventBody({ ...input, record: { ...input.record, regarding } });
    expect(body.metadata.namespace).toBe('default');
    expect(body.involvedObject).toEqual(regarding);
  });
});
