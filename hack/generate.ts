/**
 * `node hack/generate.ts` writes what is derived from the code: the embedded schemas, the CRD, the roles and the reference pages.
 * `--check` writes nothing and exits 1 with the names of the files that would change; `--offline` keeps the embedded schemas as they
 * are instead of asking an API server for them.
 */
import { glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import packageJson from '../package.json' with { type: 'json' };
import type { CustomResourceDefinition } from '../src/api/crd.ts';
import type { FieldTree } from '../src/api/served-schema.ts';
import { OPENSHIFT_RULES } from '../src/controllers/image/openshift-rbac.ts';
import type { PolicyRule } from '../src/kube/rbac.ts';
import { RULES as REGISTRY_RULES } from '../src/registry/rbac.ts';
import { startControlPlane } from '../test/harness/control-plane.ts';
import { Progress } from './control-plane/progress.ts';
import { admissionPolicyFiles } from './generate/admission-policy.ts';
import { ALERT_PLACEHOLDERS, alertFiles, alertGroups } from './generate/alerts.ts';
import { apiReference } from './generate/api-reference.ts';
import { chartFiles } from './generate/chart.ts';
import { chartComponentFiles } from './generate/chart-components.ts';
import { componentFiles } from './generate/components.ts';
import { embeddedSchemas } from './generate/embedded.ts';
import { fieldTree } from './generate/field-tree.ts';
import { type GeneratedFile, writeFiles, yamlFile } from './generate/files.ts';
import { imageLockFile } from './generate/image-lock.ts';
import { kustomization, kustomizeFiles } from './generate/kustomize.ts';
import { privilegesPage } from './generate/privileges.ts';
import { registryRbacFiles } from './generate/registry-rbac.ts';
import { tablePages } from './generate/tables.ts';
import { ensureHelm } from './helm/helm.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Asks a real API server, started for the purpose, what a Container is. */
async function embedded(): Promise<GeneratedFile> {
  const controlPlane = await startControlPlane({ name: 'generate', audit: false });
  try {
    const document = await controlPlane.kubectl(['get', '--raw', '/openapi/v3/api/v1']);
    const schemas = embeddedSchemas(JSON.parse(document));
    return { path: 'src/api/embedded.gen.json', content: `${JSON.stringify(schemas, null, 1)}\n` };
  } finally {
    await controlPlane.stop();
  }
}

async function declaredRules(): Promise<readonly PolicyRule[]> {
  const rules: PolicyRule[] = [];
  const found: string[] = [];
  for await (const file of glob(['src/controllers/*/rbac.ts', 'src/runtime/rbac.ts'], { cwd: ROOT })) found.push(file);
  for (const file of found.sort()) {
    const { RULES }: { readonly RULES?: readonly PolicyRule[] } = await import(pathToFileURL(join(ROOT, file)).href);
    if (RULES === undefined) throw new Error(`${file} does not export RULES, the rights that the code beside it needs`);
    rules.push(...RULES);
  }
  return rules;
}

/** The fields that the operator wants the served CRD to know: src/api/served-schema.ts. */
function ownFields({ spec }: CustomResourceDefinition): FieldTree {
  const { spec: wanted = null, status = null } = fieldTree(spec.versions[0]?.schema.openAPIV3Schema ?? {});
  return { spec: wanted, status };
}

async function derived(): Promise<readonly GeneratedFile[]> {
  // Only now: these read the embedded schemas, which may just have been written.
  const { moduleCrd } = await import('../src/api/crd.ts');
  const { CONTAINER_FIELDS } = await import('../src/api/embedded.ts');
  const crd = moduleCrd();
  const rules = [...(await declaredRules()), ...OPENSHIFT_RULES];
  const crdFile = `${crd.spec.group}_modules.yaml`;
  return [
    { path: 'src/api/fields.gen.json', content: `${JSON.stringify(ownFields(crd), null, 1)}\n` },
    yamlFile(`config/crd/${crdFile}`, crd),
    kustomization('config/crd', [crdFile]),
    ...chartFiles({ crd, rules, version: packageJson.version, alerts: alertGroups(ALERT_PLACEHOLDERS) }),
    ...componentFiles(rules),
    ...admissionPolicyFiles(rules),
    ...alertFiles(),
    privilegesPage(rules, REGISTRY_RULES),
    ...registryRbacFiles(REGISTRY_RULES),
    apiReference({ crd, containerFields: CONTAINER_FIELDS }),
    ...(await tablePages(ROOT)),
  ];
}

const { values } = parseArgs({ options: { check: { type: 'boolean' }, offline: { type: 'boolean' } } });
const check = values.check === true;
const changed: string[] = [];
const imageLock = imageLockFile(await readFile(join(ROOT, 'images.lock'), 'utf8'));
changed.push(...(await writeFiles(ROOT, [imageLock], { check })));
if (values.offline !== true) changed.push(...(await writeFiles(ROOT, [await embedded()], { check })));
changed.push(...(await writeFiles(ROOT, await derived(), { check })));
changed.push(...(await writeFiles(ROOT, await chartComponentFiles(ROOT), { check })));
// Last: helm renders the chart as it is on disk.
changed.push(...(await writeFiles(ROOT, await kustomizeFiles(ROOT, await ensureHelm(new Progress())), { check })));
for (const path of changed) console.log(check ? `${path} is out of date: run make generate` : `wrote ${path}`);
if (check && changed.length > 0) process.exitCode = 1;
