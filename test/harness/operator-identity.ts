/** Who the operator is on the API server, as config/rbac installs it. */
export const OPERATOR_NAMESPACE = 'kmm-system';
export const OPERATOR_SERVICE_ACCOUNT = 'kmm';
/** The operator's name in the audit log. */
export const OPERATOR_USER = `system:serviceaccount:${OPERATOR_NAMESPACE}:${OPERATOR_SERVICE_ACCOUNT}`;
