/** Images that cannot work: the condition names the cause in the kernel's, kubelet's or registry's own words, and other Modules go on. */
import { afterEach, beforeAll, expect, test } from 'vitest';

import { MODULES } from '../../../src/api/module.ts';
import { AdminError } from '../../harness/admin.ts';
import { aModule } from '../../harness/modules.ts';
import { LOCKED_REGISTRY, PAUSE_IMAGE, REGISTRY } from '../bed/guest-config.ts';
import { MISMATCHED_REPOSITORY, TOOLS_IMAGE } from '../bed/images.ts';
import { isLoaded } from '../guest.ts';
import { useScenario } from '../scenario.ts';

const scenario = useScenario('wrong');
const wrong = { namespace: 'wrong', name: 'wrong' };

beforeAll(async () => {
  await scenario.apply(scenario.hello());
  await scenario.untilLoaded(2);
});

afterEach(async () => {
  await scenario.bed.admin.delete(MODULES, wrong);
  await scenario.eventually('the wrong Module to be gone', async () => {
    const left = await scenario.bed.admin.get(MODULES, wrong).catch((error: unknown) => {
      if (error instanceof AdminError && error.status === 404) return undefined;
      throw error;
    });
    if (left !== undefined) throw new Error(JSON.stringify(left.status?.conditions));
  });
});

interface WrongImage {
  readonly what: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly reason: 'LoaderFailing' | 'ImagePullFailed';
  readonly words: RegExp;
}

const MODPROBE = ['/sbin/modprobe', '-d', '/opt', 'kmm_wrong'];

const WRONG_IMAGES: readonly WrongImage[] = [
  {
    what: 'the module of another kernel',
    image: `${MISMATCHED_REPOSITORY}:\${KERNEL_FULL_VERSION}`,
    command: MODPROBE,
    reason: 'LoaderFailing',
    words: /could not insert 'kmm_wrong': Exec format error/,
  },
  {
    what: 'no module',
    image: TOOLS_IMAGE,
    command: MODPROBE,
    reason: 'LoaderFailing',
    words: /Module kmm_wrong not found in directory \/opt\/lib\/modules\/\S+-cloud-amd64/,
  },
  {
    what: 'no shell',
    image: PAUSE_IMAGE,
    command: ['sh', '-c', 'exec modprobe kmm_wrong'],
    reason: 'LoaderFailing',
    words: /exec: "sh": executable file not found in \$PATH/,
  },
  {
    what: 'a name that is not in the registry',
    image: `${REGISTRY}/kmm-missing:1`,
    reason: 'ImagePullFailed',
    words: /kmm-missing:1: not found/,
  },
  {
    what: 'a registry that wants a credential',
    image: `${LOCKED_REGISTRY}/kmm-hello:1`,
    reason: 'ImagePullFailed',
    words: /401 Unauthorized|no basic auth credentials|authorization failed/,
  },
];

test.each(WRONG_IMAGES)(
  'an image with $what is named in the condition, and the other Module is not touched',
  async (wrongImage) => {
    const { bed } = scenario;
    const records = await scenario.kernelRecords();
    const { image, command, reason, words } = wrongImage;
    const module = aModule(wrong.name)
      .inNamespace(wrong.namespace)
      .withSelector({ 'kubernetes.io/os': 'linux' })
      .withMapping({ regexp: '.', containerImage: image })
      .withLoader(command === undefined ? {} : { command: [...command] });

    await bed.admin.create(MODULES, module.build());
    await scenario.eventually(`the condition to name ${wrongImage.what}`, async () => {
      const { status } = await bed.admin.get(MODULES, wrong);
      const degraded = status?.conditions?.find(({ type }) => type === 'Degraded');
      expect(degraded).toMatchObject({ status: 'True', reason });
      expect(degraded?.message).toMatch(words);
    });

    for (const node of bed.nodes) expect(await isLoaded(node)).toBe(true);
    expect(await scenario.kernelRecords()).toEqual(records);
    await scenario.untilLoaded(2);
  },
);
