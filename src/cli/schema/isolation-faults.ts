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
    `The unique index or exclusion constraint ${detail} of table "${object}" does not begin with tenant_id, so that it tells one tenant of another's values. Put tenant_id first.`,
  'foreign-key': ({ object, detail }) =>
    `The foreign key ${detail} of table "${object}" does not begin with tenant_id on both sides, so that it accepts another tenant's row. Use references(…) of tenantTable's third argument.`,
  'policy-foreign': ({ object, detail }) =>
    `The policy ${detail} of table "${object}" lets more rows through than the tenant's own. Drop it, or create it AS RESTRICTIVE.`,
  view: ({ object }) =>
    `The view ${object} shows what its owner may see: every tenant's rows. Create it WITH (security_invoker); a materialised view cannot be.`,
  'security-definer': ({ object }) =>
    `The function ${object} is SECURITY DEFINER, so that it runs as the owner. Create it SECURITY INVOKER.`,
  'granted-to-public': ({ object, detail }) =>
    `Table "${object}" is granted to PUBLIC (${detail}). REVOKE it in a migration.`,
  'granted-to-role': ({ object, detail }) =>
    `The serving role has the right to ${detail} on "${object}", which it does not need. REVOKE it in a migration.`,
  'reference-writable': ({ object }) =>
    `The reference table "${object}" can be written by others than migrations. Add to a migration: SELECT public.freehold_share('public.${object}');`,
}

/** One sentence for each fault that the isolation audit found. `tables` are left out: their faults are already listed. */
export function faultsOfIsolation(violations: readonly Violation[], told: readonly string[]): string[] {
  const open = violations.filter(({ object }) => !told.includes(object))
  const unprotected = new Set(open.filter(({ rule }) => isUnprotected(rule)).map(({ object }) => object))
  const sentences = [
    ...[...unprotected].map(
      (table) =>
        `Table "${table}" has no row-level security of Freehold's. Add to a migration: SELECT public.freehold_protect('public.${table}');`,
    ),
    ...open.flatMap((violation) =>
      isUnprotected(violation.rule) ? [] : [SENTENCES[violation.rule](violation)],
    ),
  ]
  // Several privileges with the same remedy count as one fault.
  return [...new Set(sentences)]
}

function isUnprotected(rule: IsolationRule): rule is Unprotected {
  return UNPROTECTED.some((each) => each === rule)
}
