/** The form of a tenant's code: a label of a host name, in lower case. */
export const TENANT_CODE_PATTERN = '^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$'
export const TENANT_CODE = new RegExp(TENANT_CODE_PATTERN)
