/** API servers before 1.34 stream no lists: the operator then uses its right to list, which it needs nowhere else. */
import { expect, test } from 'vitest';
import { matching } from '../../harness/audit.ts';
import { aModule, nodesOf } from '../../harness/modules.ts';
import { installOnOpenShift } from '../../harness/openshift.ts';
import { useOperatedCluster } from '../../harness/operated-cluster.ts';
import { OPERATOR_USER } from '../../harness/operator.ts';

const kmm = useOperatedCluster('plain-lists', {
  controlPlane: { apiServerArgs: ['feature-gates=WatchList=false'] },
  // With all that it can have to list.
  flags: ['--registry-pull-host=own.test', '--registry-push-host=own.test'],
  install: installOnOpenShift,
});
const KERNEL = '6.1.0-50-cloud-amd64';

test('an operator on an API server that streams no lists loads modules and sees ConfigMaps all the same', async () => {
  await kmm.addNodes('listed', nodesOf('listed'), KERNEL);
  const namespace = await kmm.cluster.freshNamespace();
  const loaded = await kmm.apply(aModule('listed').inNamespace(namespace));
  await kmm.untilLoaded(loaded, 1);
  const building = aModule('building')
    .inNamespace(namespace)
    .withSelector(nodesOf('listed'))
    .withMapping({
      literal: KERNEL,
      containerImage: 'registry.test/other:1',
      build: { dockerfileConfigMap: { name: 'recipe' } },
    })
    .build();
  await kmm.controlPlane.kubectl([
    'create',
    'configmap',
    'recipe',
    '-n',
    namespace,
    '--from-literal=dockerfile=FROM x',
  ]);
  await kmm.controlPlane.kubectl(['apply', '-n', namespace, '-f', '-'], { input: JSON.stringify(building) });
  await kmm.untilCondition(
    { name: 'building', namespace },
    { type: 'Progressing', status: 'True', reason: 'WaitingForImage' },
  );
  const lists = matching(await kmm.controlPlane.auditEvents(), { user: OPERATOR_USER, verb: 'list' });
  expect([...new Set(lists.map(({ resource }) => resource))].sort()).toEqual([
    'buildconfigs',
    'builds',
    'configmaps',
    'daemonsets',
    'events',
    'imagestreams',
    'modules',
    'nodes',
    'pods',
  ]);
});
