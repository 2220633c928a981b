/** The view through which the tenant check reads the residence. */
export const RESIDENCE_VIEW = 'freehold_here'

/** The expressions of the policies as PostgreSQL prints them, after `normalised`. */
const OWN = '(tenant_id = ( SELECT public.freehold_tenant(false)))'
const OPEN = '(tenant_id = ( SELECT public.freehold_tenant(true)))'
/** The expression of the policy before there were seals. */
const FORMER = `(tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid))`
const VIEW = ` SELECT tenant_id, epoch, state FROM public.residence r WHERE ((tenant_id = (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid) AND (encode(seal, 'hex'::text) = current_setting('app.seal'::text, true))) OFFSET 0;`

/** The printed form depends on search_path and, in some generated names, on the server's version. This removes the differences. */
const normalised = (
  expression: string,
) => `pg_catalog.regexp_replace(pg_catalog.regexp_replace(pg_catalog.regexp_replace(
    ${expression}, 'OPERATOR\\(pg_catalog\\.([^)]+)\\)', '\\1', 'g'), 'pg_catalog\\.| AS "nullif"| AS "?freehold_tenant"?|\\mr\\.', '', 'g'), '\\s+', ' ', 'g')`
const printed = (column: string) => normalised(`pg_catalog.pg_get_expr(p.${column}, p.polrelid)`)
const text = (value: string) => `$policy$${value}$policy$`

/** A function or operator of another schema may print the same, but a policy depends on it. It depends on no built-in one. */
const DEPENDS_ON_OURS = `NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
      WHERE d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass AND d.objid = p.oid
        AND (d.refclassid, d.refobjid) NOT IN (
          ('pg_catalog.pg_class'::pg_catalog.regclass, p.polrelid),
          ('pg_catalog.pg_proc'::pg_catalog.regclass, coalesce(pg_catalog.to_regprocedure('public.freehold_tenant(boolean)')::pg_catalog.oid, 0))))`

/**
 * A query over all policies. `isolation` and `deletion` are true for the two policies of a protected table. `isFormer`: the schema
 * may be from before there were seals, and then a table has only one policy.
 */
export const policies = (isFormer: boolean) => {
  const former = `(${isFormer} AND pg_catalog.to_regclass('public.${RESIDENCE_VIEW}') IS NULL)`
  return `
  SELECT p.polrelid, p.polname, p.polpermissive,
    p.polpermissive AND p.polcmd = '*' AND p.polroles = '{0}' AND ${DEPENDS_ON_OURS} AND (
      ${printed('polqual')} = ${text(OWN)} AND ${printed('polwithcheck')} = ${text(OPEN)}
      OR ${former} AND ${printed('polqual')} = ${text(FORMER)} AND ${printed('polwithcheck')} = ${text(FORMER)}
    ) AS isolation,
    ${former} OR NOT p.polpermissive AND p.polcmd = 'd' AND p.polroles = '{0}' AND p.polwithcheck IS NULL
      AND ${printed('polqual')} = ${text(OPEN)} AND ${DEPENDS_ON_OURS} AS deletion
  FROM pg_catalog.pg_policy p`
}

/** True for the view `v`, a row of pg_class, if its definition is ours, and its owner is the owner of the residences. */
export const isResidenceView = `(v.oid = coalesce(pg_catalog.to_regclass('public.${RESIDENCE_VIEW}')::pg_catalog.oid, 0) AND v.relkind = 'v'
      AND v.relowner = (SELECT r.relowner FROM pg_catalog.pg_class r WHERE r.oid = pg_catalog.to_regclass('public.residence'))
      AND v.reloptions @> '{security_barrier=true}'
      AND ${normalised('pg_catalog.pg_get_viewdef(v.oid)')} = ${text(VIEW)})`

/** True for the function `f`, a row of pg_proc, if it is our tenant check, and its owner is the owner of the residences. */
export const isTenantFunction = `(f.oid = coalesce(pg_catalog.to_regprocedure('public.freehold_tenant(boolean)')::pg_catalog.oid, 0)
      AND f.proowner = (SELECT r.relowner FROM pg_catalog.pg_class r WHERE r.oid = pg_catalog.to_regclass('public.residence')))`
