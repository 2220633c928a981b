import type { IsolationRule, Violation } from '../../residence/isolation.ts'

/** Rules that one missing call of `freehold_protect` breaks together. */
const UNPROTECTED = ['rls-disabled', 'rls-not-forced', 'policy-missing'] as const satisfies IsolationRule[]
type Unprotected = (typeof UNPROTECTED)[number]

const SENTENCES: Readonly<Record<Exclude<IsolationRule, Unprotected>, (violation: Violation) => string>> = {
  'tenant-id': ({ object }) =>
    `Table "${object}" has no column tenant_id that is uuid NOT NULL. Make it with tenantTable, or with referenceTable if its rows belong to no tenant.`,
  'primary-key': ({ object }) =>
    `The primary key of table "${object}" does not begin with tenant_id. Make the table with tenantTable.`,
  'unique-index': ({ object, detail }) =>
    `The unique index or exclusion constraint ${detail} of table "${object}" does not begin with tenant_id, so it shows a tenant which values other tenants use. Put tenant_id first.`,
  'foreign-key': ({ object, detail }) =>
    `The foreign key ${detail} of table "${object}" does not begin with tenant_id on both sides, so it accepts another tenant's row. Use references(…) of tenantTable's third argument.`,
  'policy-foreign': ({ object, detail }) =>
    `The policy ${detail} of table "${object}" shows more rows than the tenant's own. Drop it, or create it AS RESTRICTIVE.`,
  view: ({ object }) =>
    `The view ${object} shows what its owner may see: every tenant's rows. Create it WITH (security_invoker), which a materialised view does not have.`,
  'security-definer': ({ object }) =>
    `The function ${object} is SECURITY DEFINER, so it runs as its owner. Create it as SECURITY INVOKER.`,
  'granted-to-public': ({ object, detail }) =>
    `Table "${object}" is granted to PUBLIC (${detail}). REVOKE it in a migration.`,
  'granted-to-role': ({ object, detail }) =>
    `The serving role has the right to ${detail} on "${object}", which it does not need. REVOKE it in a migration.`,
  'reference-writable': ({ object }) =>
    `The reference table "${object}" is writable, but only migrations may write it. Add to a migration: SELECT public.freehold_share('public.${object}');`,
}

/** One sentence for each fault that the isolation audit found, except faults of the tables in `listed`, which are reported already. */
export function faultsOfIsolation(violations: readonly Violation[], listed: readonly string[]): string[] {
  const rest = violations.filter(({ object }) => !listed.includes(object))
  const unprotected = new Set(rest.filter(({ rule }) => isUnprotected(rule)).map(({ object }) => object))
  const sentences = [
    ...[...unprotected].map(
      (table) =>
        `Table "${table}" lacks Freehold's row-level security. Add to a migration: SELECT public.freehold_protect('public.${table}');`,
    ),
    ...rest.flatMap((violation) =>
      isUnprotected(violation.rule) ? [] : [SENTENCES[violation.rule](violation)],
    ),
  ]
  // Several privileges with the same remedy count as one fault.
  return [...new Set(sentences)]
}

function isUnprotected(rule: IsolationRule): rule is Unprotected {
  return UNPROTECTED.some((each) => each === rule)
}
