/** Running something in a network namespace, out of which nothing reaches. */

/** Words that run what follows them in a new one. */
export const IN_NEW_NETWORK = ['unshare', '--net', '--'] as const;

/** The environment of this process for what runs in there: a proxy of the machine's is not in reach. */
export function environmentWithoutProxies(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(https?|all|no)_proxy$/i.test(name)));
}
