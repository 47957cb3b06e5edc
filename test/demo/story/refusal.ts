import { MODULES } from '../../../src/api/module.ts';
import { NAMESPACE } from '../cast.ts';
import type { Found } from '../expectations.ts';
import type { Scene } from '../scene.ts';
import type { Step } from './step.ts';

interface Mistake {
  readonly what: string;
  readonly mapping: Readonly<Record<string, string>>;
  /** What the refusal must say. */
  readonly says: string;
}

const MISTAKES: readonly Mistake[] = [
  {
    what: 'a mapping with both literal and regexp',
    mapping: { literal: '6.1.0-18-amd64', regexp: '^6' },
    says: 'a mapping needs exactly one of literal and regexp',
  },
  { what: 'a regexp that is none', mapping: { regexp: 'a(b' }, says: 'missing closing )' },
];

export const refusal: Step = {
  title: 'Bad Modules are refused, each with a sentence',
  async tell(scene) {
    const { narrator } = scene;
    for (const mistake of MISTAKES) {
      narrator.command(`kubectl apply -f bad-module.yaml   # ${mistake.what}`);
      let sentence = '';
      await narrator.expect('kubectl says what is wrong', async () => {
        const { code, stderr } = await apply(scene, mistake);
        sentence = stderr;
        if (code === 0) return 'it was accepted';
        return stderr.includes(mistake.says) ? undefined : `it says ${stderr}`;
      });
      narrator.quote(sentence);
    }
    await narrator.fact('the cluster has the one good Module only', await onlyOne(scene));
  },
};

function apply(scene: Scene, { mapping }: Mistake) {
  const manifest = {
    apiVersion: `${MODULES.group}/${MODULES.version}`,
    kind: MODULES.kind,
    metadata: { name: 'bad-module', namespace: NAMESPACE },
    spec: {
      selector: { 'feature.node.kubernetes.io/cpu-cpuid.VMX': 'true' },
      moduleLoader: {},
      kernelMappings: [{ ...mapping, containerImage: 'quay.io/vendor/bad:1' }],
    },
  };
  return scene.tryKubectl(['apply', '-f', '-'], JSON.stringify(manifest));
}

async function onlyOne({ admin }: Scene): Promise<Found> {
  const modules = await admin.list(MODULES);
  return modules.length === 1 ? undefined : `there are ${modules.length}`;
}
