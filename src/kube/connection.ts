/** Which server, and as whom. What a KubeClient needs to know; loadConnection makes one. */
export interface Connection {
  /** URL without a slash at its end and without a password; may have a path. It stands in errors and logs. */
  readonly server: string;
  /** `name:port`, for metrics. */
  readonly host: string;
  /** The namespace that the pod runs in, or that the kubeconfig's context names. */
  readonly namespace?: string;
  /** Where all this was read, e.g. `kubeconfig ~/.kube/config, context kind`. */
  readonly description: string;
  /** Whose certificates the server's is checked against, as it stands in an error's sentence. */
  readonly caSource: string;
  /** An HTTP proxy that the server is reached through. */
  readonly proxyUrl?: string;
  /**
   * What the next request goes with. Cached; reads files or runs a credential plugin when it is time to.
   * @throws ConfigError when a file cannot be read or a plugin gives no credential; the signal's reason.
   */
  authorize(signal?: AbortSignal): Promise<Authorization>;
  /**
   * To be called after a 401. Gives whether there is now another credential than the rejected one, worth a second try.
   * @throws as authorize does.
   */
  refresh(rejected: Authorization, signal?: AbortSignal): Promise<boolean>;
}

export interface Authorization {
  /** Secret: never to be logged. */
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  /** The same object as long as nothing in it has changed: connections are kept by it. */
  readonly tls: TlsMaterial;
}

/** PEM texts, and how the server's certificate is checked. */
export interface TlsMaterial {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** The name that the server's certificate has to carry, where it is not the URL's. */
  readonly servername?: string;
  readonly insecure?: boolean;
}

/** `name:port` of a server's URL. */
export function hostOf(server: string): string {
  const { hostname, port, protocol } = new URL(server);
  return `${hostname}:${port === '' ? (protocol === 'https:' ? 443 : 80) : port}`;
}
