import { AUTHORITY_CONFIG_MAP, AUTHORITY_KEY } from '../../kernel/cluster-registry.ts';
import { CONFIG_MAPS, type ConfigMap } from '../../kube/core.ts';
import { Informer, type InformerObserver } from '../../kube/informer.ts';
import { objectKey } from '../../kube/store.ts';
import type { ListWatchClient } from '../../kube/watcher.ts';

/** Follows the one ConfigMap through which the cluster's registry makes its certificate authority known. */
export class RegistryAuthority {
  readonly #informer: Informer<ConfigMap>;
  readonly #key: string;

  constructor(client: ListWatchClient, namespace: string, observer?: InformerObserver) {
    this.#informer = new Informer({
      client,
      resource: CONFIG_MAPS,
      namespace,
      fieldSelector: `metadata.name=${AUTHORITY_CONFIG_MAP}`,
      ...(observer === undefined ? {} : { observer }),
    });
    this.#key = objectKey({ name: AUTHORITY_CONFIG_MAP, namespace });
  }

  run(signal: AbortSignal): Promise<void> {
    return this.#informer.run(signal);
  }

  /** @param act called when it is known, has gone or is another */
  onChange(act: () => void): void {
    this.#informer.onChange(act);
  }

  /** PEM; undefined where it is not known. */
  get certificates(): string | undefined {
    const text = this.#informer.store.get(this.#key)?.data?.[AUTHORITY_KEY];
    return text === undefined || text === '' ? undefined : text;
  }

  /** What a build waits for; undefined where it need not. */
  get problem(): string | undefined {
    return this.certificates === undefined
      ? `the cluster's registry has not made its certificate known yet (ConfigMap ${AUTHORITY_CONFIG_MAP}): see whether Deployment kmm-registry runs`
      : undefined;
  }
}
