/** Who the operator is on the API server, as config/rbac installs it. */
export const OPERATOR_NAMESPACE = 'kmm-system';
export const OPERATOR_SERVICE_ACCOUNT = 'kmm';
/** Account of the front of the cluster's own registry, as config/components/registry installs it. */
export const REGISTRY_SERVICE_ACCOUNT = 'kmm-registry';

/** What a ServiceAccount of ours is called in the audit log. */
const userOf = (account: string): string => `system:serviceaccount:${OPERATOR_NAMESPACE}:${account}`;

export const OPERATOR_USER = userOf(OPERATOR_SERVICE_ACCOUNT);

/** Programs of the product that ask the API server: names in the audit log, and their ServiceAccounts. */
export const PRODUCT_USERS: ReadonlyMap<string, string> = new Map(
  [OPERATOR_SERVICE_ACCOUNT, REGISTRY_SERVICE_ACCOUNT].map((account) => [userOf(account), account]),
);
