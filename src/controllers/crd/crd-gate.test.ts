import { describe, expect, it, vi } from 'vitest';
import { captureLog } from '../../../test/harness/captured-log.ts';
import { ManualClock } from '../../../test/harness/manual-clock.ts';
import { moduleCrd } from '../../api/crd.ts';
import { ApiError } from '../../kube/errors.ts';
import { CrdGate, problemOf } from './crd-gate.ts';

function documentOf(schema: object): object {
  const kinds = [{ group: 'kmm.sigs.x-k8s.io', version: 'v1beta1', kind: 'Module' }];
  return { components: { schemas: { module: { ...schema, 'x-kubernetes-group-version-kind': kinds } } } };
}

const OURS = documentOf(moduleCrd().spec.versions[0]?.schema.openAPIV3Schema ?? {});
const OLDER = documentOf({ properties: { spec: { properties: { selector: {} } } } });

const refusal = (status: number): ApiError => new ApiError({ attempted: 'get', status, reason: 'R', sentence: 'no' });

/** A gate before a server that gives these answers, one after the other; the last one for ever. */
function gateBefore(...answers: readonly (object | ApiError)[]) {
  const clock = new ManualClock();
  const { log, lines } = captureLog();
  const left = [...answers];
  const openApi = async (): Promise<unknown> => {
    const answer = left.length > 1 ? left.shift() : left[0];
    if (answer instanceof ApiError) throw answer;
    return answer;
  };
  return { gate: new CrdGate({ client: { openApi }, clock, log, version: '1.2.3' }), clock, lines };
}

async function untilItWaits(clock: ManualClock): Promise<void> {
  await vi.waitFor(() => expect(clock.nextTimerInMs).toBeDefined());
}

describe('what is wrong with the served CRD', () => {
  it('is nothing when it is our own', () => {
    expect(problemOf(OURS, '1.2.3')).toBeUndefined();
  });

  it('is that it is older, with fields it lacks and the commands that help', () => {
    const problem = problemOf(OLDER, '1.2.3') ?? '';
    expect(problem).toMatch(/is older than this operator \(1\.2\.3\): it has no spec\.\w+, .* and \d+ more/);
    expect(problem).toContain('helm upgrade');
    expect(problem).toContain('kubectl apply --server-side -k config/crd');
  });

  it('is that it is not there', () => {
    expect(problemOf({ components: { schemas: {} } }, '1.2.3')).toContain('is not served');
  });
});

describe('the gate', () => {
  it('is shut with a sentence while the CRD is older, and opens by itself when it has been upgraded', async () => {
    const { gate, clock, lines } = gateBefore(refusal(404), OLDER, OLDER, OURS);
    const opened = gate.opened(new AbortController().signal);
    expect(() => gate.assertOpen()).toThrow('not been looked at yet');
    await untilItWaits(clock);
    expect(() => gate.assertOpen()).toThrow('is not served');
    clock.advance(250);
    await untilItWaits(clock);
    expect(() => gate.assertOpen()).toThrow('is older than this operator');
    clock.advance(500);
    await untilItWaits(clock);
    clock.advance(1_000);
    await opened;
    expect(() => gate.assertOpen()).not.toThrow();
    // A sentence that has not changed is not told again.
    expect(lines.filter(({ level }) => level === 'warn')).toHaveLength(2);
  });

  it('is open where nobody may look', async () => {
    const { gate } = gateBefore(refusal(403));
    await gate.opened(new AbortController().signal);
    expect(() => gate.assertOpen()).not.toThrow();
  });

  it('stays shut while the server does not answer, and says why', async () => {
    const { gate, clock } = gateBefore(refusal(500));
    const end = new AbortController();
    const opened = gate.opened(end.signal);
    await untilItWaits(clock);
    expect(() => gate.assertOpen()).toThrow('cannot be read');
    end.abort(new Error('stop'));
    await expect(opened).rejects.toThrow('stop');
  });
});
