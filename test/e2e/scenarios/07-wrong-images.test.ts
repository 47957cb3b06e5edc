/** Images that cannot work: the condition names the cause in the kernel's, kubelet's or registry's own words, and other Modules go on. */
import { afterEach, beforeAll, expect, test } from 'vitest';

import { MODULES } from '../../../src/api/module.ts';
import { isNotFound } from '../../harness/admin.ts';
import { aModule } from '../../harness/modules.ts';
import { LOCKED_REGISTRY, PAUSE_IMAGE } from '../bed/guest-config.ts';
import { MISMATCHED_REPOSITORY, TOOLS_IMAGE } from '../bed/images.ts';
import { isLoaded } from '../guest.ts';
import { useScenario } from '../scenario.ts';

const scenario = useScenario('wrong');
const wrong = { namespace: scenario.namespace, name: 'wrong' };

beforeAll(async () => {
  await scenario.apply(scenario.hello());
  await scenario.untilLoaded();
});

afterEach(async () => {
  await scenario.cluster.admin.delete(MODULES, wrong);
  await scenario.eventually('the wrong Module to be gone', async () => {
    const left = await scenario.cluster.admin.get(MODULES, wrong).catch((error: unknown) => {
      if (isNotFound(error)) return undefined;
      throw error;
    });
    if (left !== undefined) throw new Error(JSON.stringify(left.status?.conditions));
  });
});

interface WrongImage {
  readonly what: string;
  readonly image: () => string;
  readonly command?: readonly string[];
  readonly reason: 'LoaderFailing' | 'ImagePullFailed';
  readonly words: RegExp;
  /** Only where registries are ours. */
  readonly onBed?: true;
}

const MODPROBE = ['/sbin/modprobe', '-d', '/opt', 'kmm_wrong'];

const WRONG_IMAGES: readonly WrongImage[] = [
  {
    what: 'the module of another kernel',
    image: () => scenario.image(`${MISMATCHED_REPOSITORY}:\${KERNEL_FULL_VERSION}`),
    onBed: true,
    command: MODPROBE,
    reason: 'LoaderFailing',
    words: /could not insert 'kmm_wrong': Exec format error/,
  },
  {
    what: 'no module',
    image: () => scenario.image(TOOLS_IMAGE),
    command: MODPROBE,
    reason: 'LoaderFailing',
    words: /Module kmm_wrong not found in directory \/opt\/lib\/modules\/\S+/,
  },
  {
    what: 'no shell',
    image: () => scenario.image(PAUSE_IMAGE),
    command: ['sh', '-c', 'exec modprobe kmm_wrong'],
    reason: 'LoaderFailing',
    words: /exec: "sh": executable file not found in \$PATH/,
  },
  {
    what: 'a name that is not in the registry',
    image: () => scenario.image('kmm-missing:1'),
    reason: 'ImagePullFailed',
    words: /kmm-missing:1: not found/,
  },
  {
    what: 'a registry that wants a credential',
    image: () => `${LOCKED_REGISTRY}/kmm-hello:1`,
    onBed: true,
    reason: 'ImagePullFailed',
    words: /401 Unauthorized|no basic auth credentials|authorization failed/,
  },
];

test.for(WRONG_IMAGES)(
  'an image with $what is named in the condition, and the other Module is not touched',
  async ({ what, image, command, reason, words, onBed }, { skip }) => {
    if (onBed === true) scenario.bedOr(skip);
    const { cluster } = scenario;
    const records = await scenario.kernelRecords();
    const module = aModule(wrong.name)
      .inNamespace(wrong.namespace)
      .withSelector(cluster.selector)
      .withMapping({ regexp: '.', containerImage: image() })
      .withLoader(command === undefined ? {} : { command: [...command] });

    await cluster.admin.create(MODULES, module.build());
    await scenario.eventually(`the condition to name ${what}`, async () => {
      const { status } = await cluster.admin.get(MODULES, wrong);
      const degraded = status?.conditions?.find(({ type }) => type === 'Degraded');
      expect(degraded).toMatchObject({ status: 'True', reason });
      expect(degraded?.message).toMatch(words);
    });

    for (const node of cluster.nodes) expect(await isLoaded(node)).toBe(true);
    expect(await scenario.kernelRecords()).toEqual(records);
    await scenario.untilLoaded();
  },
);
