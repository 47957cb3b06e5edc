/** config/ on the real API server, and what is generated from it: the CRD, the roles, the embedded types. */
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';

import { type EmbeddedSchemas, embeddedSchemas } from '../../../hack/generate/embedded.ts';
import { moduleCrd } from '../../../src/api/crd.ts';
import embedded from '../../../src/api/embedded.gen.json' with { type: 'json' };
import { CONTAINER_FIELDS } from '../../../src/api/embedded.ts';
import { useCluster } from '../../harness/cluster.ts';
import { eventually } from '../../harness/eventually.ts';
import { installCrd } from '../../harness/modules.ts';

const { controlPlane } = await useCluster();

const CONFIG = fileURLToPath(new URL('../../../config', import.meta.url));

interface PublishedSchema {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, PublishedSchema>>;
  readonly items?: PublishedSchema;
  readonly additionalProperties?: PublishedSchema;
}

interface OpenApi {
  readonly components: { readonly schemas: Readonly<Record<string, PublishedSchema>> };
}

async function openApi(path: string): Promise<OpenApi> {
  return JSON.parse(await controlPlane.kubectl(['get', '--raw', path]));
}

/** Paths of the fields that `kubectl explain` would show without a word. */
function undescribed(schema: PublishedSchema, path: string): readonly string[] {
  return [
    ...Object.entries(schema.properties ?? {}).flatMap(([key, property]) => [
      ...((property.description ?? '') === '' ? [`${path}.${key}`] : []),
      ...undescribed(property, `${path}.${key}`),
    ]),
    ...(schema.items === undefined ? [] : undescribed(schema.items, `${path}[]`)),
    ...(schema.additionalProperties === undefined ? [] : undescribed(schema.additionalProperties, `${path}.*`)),
  ];
}

describe('the CRD', () => {
  beforeAll(() => installCrd({ controlPlane }));

  test('is installed by server-side apply, twice without a change, and is accepted whole', async () => {
    const read = async () =>
      JSON.parse(await controlPlane.kubectl(['get', 'crd', 'modules.kmm.sigs.x-k8s.io', '-o', 'json']));
    const { metadata, status, spec } = await read();
    const conditions = Object.fromEntries(
      status.conditions.map((condition: { type: string; status: string }) => [condition.type, condition.status]),
    );
    expect(conditions).toEqual({ NamesAccepted: 'True', Established: 'True' });
    expect(spec.versions).toEqual(moduleCrd().spec.versions);
    expect(spec.names).toMatchObject({ plural: 'modules', singular: 'module', kind: 'Module', categories: ['kmm'] });
    await controlPlane.kubectl(['apply', '--server-side', '-k', `${CONFIG}/crd`]);
    expect((await read()).metadata.resourceVersion).toBe(metadata.resourceVersion);
  });

  test('describes every field that the server publishes', async () => {
    const schema = await eventually(
      async () => {
        const { components } = await openApi('/openapi/v3/apis/kmm.sigs.x-k8s.io/v1beta1');
        const [, module] = Object.entries(components.schemas).find(([name]) => name.endsWith('.Module')) ?? [];
        if (module === undefined) throw new Error(`published: ${Object.keys(components.schemas).join()}`);
        return module;
      },
      { what: 'the schema of Module to be published' },
    );
    const { metadata: _kubernetesOwn, ...properties } = schema.properties ?? {};
    expect(Object.keys(properties)).toEqual(expect.arrayContaining(['spec', 'status']));
    expect(undescribed({ properties }, 'module')).toEqual([]);
  });

  test.each([
    ['module', 'An out-of-tree kernel module'],
    ['module.spec.kernelMappings.regexp', 'An RE2 pattern for the kernel releases'],
    ['module.spec.kernelMappings.build.git', 'A Git repository that holds the Dockerfile'],
    ['module.spec.moduleLoader', 'not privileged'],
    ['module.spec.moduleLoader.volumeMounts.mountPath', 'Path within the container'],
    ['module.spec.upgradePolicy.maxUnavailable', 'How many nodes may be without the module'],
    ['module.status.kernels', 'Each kernel that the selected nodes run'],
  ])('is what kubectl explain %s reads from', async (path, words) => {
    const explained = (await controlPlane.kubectl(['explain', path])).replace(/\s+/g, ' ');
    expect(explained).toContain(words);
    expect(explained).not.toContain('<empty>');
  });
});

describe('the embedded types', () => {
  test('are exactly what the server says they are', async () => {
    const document = await openApi('/openapi/v3/api/v1');
    // Its own reader takes the document as it comes.
    const schemas: EmbeddedSchemas = embeddedSchemas(JSON.parse(JSON.stringify(document)));
    expect(JSON.parse(JSON.stringify(schemas))).toEqual(embedded);
    const container = document.components.schemas['io.k8s.api.core.v1.Container'];
    expect([...CONTAINER_FIELDS].sort()).toEqual(Object.keys(container?.properties ?? {}).sort());
  });
});

describe('config/rbac', () => {
  beforeAll(async () => {
    await installCrd({ controlPlane });
    await controlPlane.kubectl(['apply', '--server-side', '-k', `${CONFIG}/rbac`]);
  });

  const may = async (...request: readonly string[]): Promise<string> => {
    const { stdout } = await controlPlane.tryKubectl([
      'auth',
      'can-i',
      '--as=system:serviceaccount:kmm-system:kmm',
      ...request,
    ]);
    return stdout.trim();
  };

  test.each([
    [['patch', 'nodes']],
    [['patch', 'modules.kmm.sigs.x-k8s.io', '--subresource=status', '-n', 'default']],
    [['create', 'daemonsets.apps', '-n', 'default']],
    [['create', 'pods', '-n', 'default']],
    [['update', 'leases.coordination.k8s.io', '-n', 'kmm-system']],
  ])('lets the operator %j', async (request) => {
    expect(await may(...request)).toBe('yes');
  });

  test.each([
    [['get', 'secrets', '-n', 'default']],
    [['get', 'configmaps', '-n', 'default']],
    [['update', 'pods', '-n', 'default']],
    [['delete', 'nodes']],
    [['update', 'leases.coordination.k8s.io', '-n', 'kube-system']],
    [['patch', 'modules.kmm.sigs.x-k8s.io', '--subresource=scale', '-n', 'default']],
  ])('does not let the operator %j', async (request) => {
    expect(await may(...request)).toBe('no');
  });
});
