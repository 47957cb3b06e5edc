/** What a person asks for, as the model thinks of it. */
import { aModule, type ModuleBuilder } from '../harness/modules.ts';

export const KERNELS = ['5.4.0', '6.1.0'] as const;
export type Kernel = (typeof KERNELS)[number];
export const NODES = ['n1', 'n2', 'n3', 'n4'] as const;
export type NodeName = (typeof NODES)[number];

export interface Wish {
  /** Value of the label `driver` that is selected; undefined selects every node. */
  readonly driver: string | undefined;
  /** Image by kernel; a kernel that is not mapped has none. */
  readonly images: Readonly<Partial<Record<Kernel, string>>>;
  readonly argument: string;
  readonly plugin: boolean;
  readonly maxUnavailable: number;
}

export const FIRST_WISH: Wish = {
  driver: 'a',
  images: { '5.4.0': 'registry.test/m:1', '6.1.0': 'registry.test/m:1' },
  argument: '1',
  plugin: true,
  maxUnavailable: 1,
};

export function moduleOf({ driver, images, argument, plugin, maxUnavailable }: Wish): ModuleBuilder {
  const base = aModule('m')
    .withSelector(driver === undefined ? {} : { driver })
    .withLoader({ args: [argument] })
    .withMaxUnavailable(maxUnavailable)
    // Something is always mapped, as the CRD wants it.
    .withKernel('none', 'registry.test/none:1');
  const mapped = KERNELS.reduce((builder, kernel) => {
    const image = images[kernel];
    return image === undefined ? builder : builder.withKernel(kernel, image);
  }, base);
  return plugin ? mapped.withDevicePlugin() : mapped;
}

export function kernelOf(release: string | undefined): Kernel | undefined {
  return KERNELS.find((kernel) => kernel === release);
}

/** What a loader of this wish is made from, to be compared with {@link madeFrom}. */
export function loaderOf({ images, argument }: Wish, kernel: Kernel): string | undefined {
  const image = images[kernel];
  return image === undefined ? undefined : JSON.stringify([image, [argument]]);
}

/** Whether a node whose label `driver` has this value is selected. */
export function isSelectedBy(wish: Wish, driver: string | undefined): boolean {
  return wish.driver === undefined || wish.driver === driver;
}
