import { describe, expect, it } from 'vitest';
import { aModule } from '../../test/harness/modules.ts';
import { stored } from '../../test/harness/plan-world.ts';
import { ownerReference, recommendedLabels, selectingLabels } from './object-labels.ts';

const LABEL_VALUE = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;

describe('the labels of an object of a Module', () => {
  it('name the Module and the role it is selected by', () => {
    expect(selectingLabels(stored(aModule('m')), 'device-plugin')).toEqual({
      'kmm.node.kubernetes.io/module.name': 'm',
      'kmm.node.kubernetes.io/role': 'device-plugin',
    });
  });

  it('are those that Kubernetes recommends', () => {
    expect(recommendedLabels(stored(aModule('m')), 'module-loader')).toEqual({
      'app.kubernetes.io/name': 'kmm',
      'app.kubernetes.io/component': 'module-loader',
      'app.kubernetes.io/instance': 'm',
      'app.kubernetes.io/part-of': 'kmm',
      'app.kubernetes.io/managed-by': 'kmm',
    });
  });

  it('are valid for a Module whose name is longer than a label', () => {
    const module = stored(aModule(`${'m'.repeat(200)}.x`));
    const labels = { ...selectingLabels(module, 'module-loader'), ...recommendedLabels(module, 'module-loader') };
    for (const value of Object.values(labels)) expect(value).toMatch(LABEL_VALUE);
  });
});

it('an object of a Module is owned by it, so that it goes with it', () => {
  expect(ownerReference(stored(aModule('m')))).toEqual({
    apiVersion: 'kmm.sigs.x-k8s.io/v1beta1',
    kind: 'Module',
    name: 'm',
    uid: 'uid-of-m',
    controller: true,
    blockOwnerDeletion: true,
  });
});
