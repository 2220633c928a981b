ALTER TABLE "residence" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
ALTER TABLE "residence" DROP CONSTRAINT "residence_state_check";--> statement-breakpoint
ALTER TABLE "residence" ADD COLUMN "seal" "bytea";--> statement-breakpoint
ALTER TABLE "residence" ADD COLUMN "capture" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "residence" ADD COLUMN "move_id" uuid;--> statement-breakpoint
ALTER TABLE "residence" ADD CONSTRAINT "residence_seal_check" CHECK (octet_length("residence"."seal") = 32);--> statement-breakpoint
ALTER TABLE "residence" ADD CONSTRAINT "residence_state_check" CHECK ("residence"."state" in ('open', 'fenced', 'left'));--> statement-breakpoint
-- A tenant is entered with its seal from here on. A row without a seal lets no one in: the gateway gives it a seal when it
-- starts, or when it has brought a tenant's own database this far. Every name and operator in a body is qualified, as in
-- 0001_isolation.

-- Who is in here now: the residence whose tenant and seal are those of the settings. A barrier, so that a condition of a caller's sees no other row; with OFFSET, so that nothing can be
-- written through it whatever is granted.
CREATE VIEW public.freehold_here WITH (security_barrier) AS
  SELECT r.tenant_id, r.epoch, r.state
    FROM public.residence AS r
   WHERE r.tenant_id OPERATOR(pg_catalog.=) nullif(pg_catalog.current_setting('app.tenant_id', true), '')::pg_catalog.uuid
     AND pg_catalog.encode(r.seal, 'hex') OPERATOR(pg_catalog.=) pg_catalog.current_setting('app.seal', true)
  OFFSET 0;
--> statement-breakpoint
-- The tenant whose rows the owner is at work on (moving it, looking for what it has left), which need not live here. Asks for
-- the role that has logged in: current_user is the owner's also in a SECURITY DEFINER function.
CREATE FUNCTION public.freehold_operating() RETURNS pg_catalog.uuid
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
  v_owner pg_catalog.oid;
BEGIN
  IF (pg_catalog.current_setting('app.seal', true) OPERATOR(pg_catalog.=) 'owner') IS NOT TRUE THEN
    RETURN NULL;
  END IF;
  SELECT c.relowner INTO v_owner FROM pg_catalog.pg_class AS c
   WHERE c.oid OPERATOR(pg_catalog.=) 'public.residence'::pg_catalog.regclass;
  IF pg_catalog.pg_has_role(session_user, v_owner, 'USAGE') IS NOT TRUE THEN
    RETURN NULL;
  END IF;
  RETURN nullif(pg_catalog.current_setting('app.tenant_id', true), '')::pg_catalog.uuid;
END
$$;
--> statement-breakpoint
-- The tenant whose rows may be seen or, with `p_open`, written: what policies ask. The one function that runs as its owner, who alone
-- reads the residences. The view would do, but pg_dump forbids a policy to use views. Stable: it sees what the statement sees.
CREATE FUNCTION public.freehold_tenant(p_open boolean) RETURNS pg_catalog.uuid
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER AS $$
DECLARE
  v_tenant pg_catalog.uuid;
BEGIN
  -- A setting that was never made is NULL, and '' after its first transaction, which is no uuid.
  IF (pg_catalog.current_setting('app.tenant_id', true) OPERATOR(pg_catalog.<>) '') IS NOT TRUE THEN
    RETURN NULL;
  END IF;
  SELECT r.tenant_id INTO v_tenant FROM public.residence AS r
   WHERE r.tenant_id OPERATOR(pg_catalog.=) pg_catalog.current_setting('app.tenant_id', true)::pg_catalog.uuid
     AND pg_catalog.encode(r.seal, 'hex') OPERATOR(pg_catalog.=) pg_catalog.current_setting('app.seal', true)
     AND CASE WHEN p_open THEN r.state OPERATOR(pg_catalog.=) 'open' ELSE r.state OPERATOR(pg_catalog.<>) 'left' END;
  IF FOUND THEN
    RETURN v_tenant;
  END IF;
  RETURN public.freehold_operating();
END
$$;
--> statement-breakpoint
-- The last thing before every statement: the settings were made, which the view compares. Raises FH001 (not resident, or
-- another seal), FH002 (another epoch) or FH003 (fenced, or left), so that the statement behind it never runs.
-- A writer takes the shared lock BEFORE it looks: when it had to wait for a mover, which holds the lock exclusively and
-- fences, it then sees the fence. That needs READ COMMITTED, where the look-up has a snapshot of its own.
CREATE FUNCTION public.freehold_enter(p_epoch bigint, p_write boolean) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  v_epoch bigint;
  v_state pg_catalog.text;
BEGIN
  IF p_write THEN
    PERFORM pg_catalog.pg_advisory_xact_lock_shared(pg_catalog.hashtextextended(
      nullif(pg_catalog.current_setting('app.tenant_id', true), '')::pg_catalog.uuid::pg_catalog.text, 0));
    IF (pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'read committed') IS NOT TRUE THEN
      RAISE EXCEPTION 'a writer needs READ COMMITTED' USING ERRCODE = 'active_sql_transaction';
    END IF;
  ELSE
    PERFORM pg_catalog.set_config('transaction_read_only', 'on', true);
  END IF;
  SELECT h.epoch, h.state INTO v_epoch, v_state FROM public.freehold_here AS h;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'the tenant does not live in this database' USING ERRCODE = 'FH001';
  END IF;
  -- IS NOT TRUE rather than <>: a NULL epoch must not pass.
  IF (v_epoch OPERATOR(pg_catalog.=) p_epoch) IS NOT TRUE THEN
    RAISE EXCEPTION 'the tenant lives here at another epoch' USING ERRCODE = 'FH002';
  END IF;
  IF (v_state OPERATOR(pg_catalog.=) 'open') IS NOT TRUE THEN
    RAISE EXCEPTION 'the tenant is fenced' USING ERRCODE = 'FH003';
  END IF;
END
$$;
--> statement-breakpoint
DROP FUNCTION public.freehold_enter(pg_catalog.uuid, bigint, boolean);
--> statement-breakpoint
-- Called by the migration that creates a tenant's table, and again where it is already protected. The policies do not believe
-- a setting, which any expression can make, but the seal that goes with it. What is written needs an open door as well: SQL
-- that commits inside its own unit, and makes its settings again, does not write past a fence. The scalar subselects are evaluated
-- once a statement, not once a row.
CREATE OR REPLACE FUNCTION public.freehold_protect(p_table pg_catalog.regclass) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  v_own pg_catalog.text := 'tenant_id OPERATOR(pg_catalog.=) (SELECT public.freehold_tenant(false))';
  v_open pg_catalog.text := 'tenant_id OPERATOR(pg_catalog.=) (SELECT public.freehold_tenant(true))';
  v_role pg_catalog.text;
BEGIN
  EXECUTE pg_catalog.format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', p_table);
  EXECUTE pg_catalog.format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', p_table);
  EXECUTE pg_catalog.format('DROP POLICY IF EXISTS tenant_isolation ON %s', p_table);
  EXECUTE pg_catalog.format('DROP POLICY IF EXISTS tenant_deletion ON %s', p_table);
  EXECUTE pg_catalog.format(
    'CREATE POLICY tenant_isolation ON %s FOR ALL USING (%s) WITH CHECK (%s)', p_table, v_own, v_open);
  -- A deletion is checked by USING alone.
  EXECUTE pg_catalog.format(
    'CREATE POLICY tenant_deletion ON %s AS RESTRICTIVE FOR DELETE USING (%s)', p_table, v_open);
  -- Row-level security knows nothing of these, which default privileges may have given.
  FOR v_role IN
    SELECT DISTINCT coalesce(pg_catalog.quote_ident(r.rolname), 'PUBLIC')
      FROM pg_catalog.pg_class AS c
      CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS x
      LEFT JOIN pg_catalog.pg_roles AS r ON r.oid OPERATOR(pg_catalog.=) x.grantee
     WHERE c.oid OPERATOR(pg_catalog.=) p_table AND x.grantee OPERATOR(pg_catalog.<>) c.relowner
       AND x.privilege_type OPERATOR(pg_catalog.=) ANY ('{TRUNCATE,REFERENCES,TRIGGER}')
  LOOP
    EXECUTE pg_catalog.format('REVOKE TRUNCATE, REFERENCES, TRIGGER ON TABLE %s FROM %s CASCADE', p_table, v_role);
  END LOOP;
END
$$;
--> statement-breakpoint
-- Whatever tables there are: an application's were protected before this one ran.
DO $$
DECLARE
  v_table pg_catalog.regclass;
BEGIN
  FOR v_table IN SELECT p.polrelid FROM pg_catalog.pg_policy AS p WHERE p.polname = 'tenant_isolation' LOOP
    PERFORM public.freehold_protect(v_table);
  END LOOP;
END
$$;
--> statement-breakpoint
-- Default privileges may have given these to the role that serves. Only the owner has the residences. Row-level security
-- without a policy holds also against rights that are granted to "all tables" later.
DO $$
DECLARE
  v_table pg_catalog.regclass;
  v_role text;
BEGIN
  FOR v_table, v_role IN
    SELECT DISTINCT c.oid::pg_catalog.regclass, coalesce(pg_catalog.quote_ident(r.rolname), 'PUBLIC')
      FROM pg_catalog.pg_class AS c
      CROSS JOIN LATERAL (
        SELECT t.grantee FROM pg_catalog.aclexplode(c.relacl) AS t
        UNION
        SELECT s.grantee FROM pg_catalog.pg_attribute AS a, LATERAL pg_catalog.aclexplode(a.attacl) AS s
         WHERE a.attrelid = c.oid
      ) AS x
      LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = x.grantee
     WHERE c.oid IN ('public.residence'::pg_catalog.regclass, 'public.freehold_here'::pg_catalog.regclass)
       AND x.grantee <> c.relowner
  LOOP
    EXECUTE pg_catalog.format('REVOKE ALL ON TABLE %s FROM %s CASCADE', v_table, v_role);
  END LOOP;
END
$$;
--> statement-breakpoint
ALTER TABLE public.freehold_migrations ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
CREATE POLICY freehold_readable ON public.freehold_migrations FOR SELECT USING (true);
--> statement-breakpoint
GRANT SELECT ON public.freehold_here TO PUBLIC;
--> statement-breakpoint
GRANT EXECUTE ON FUNCTION
  public.freehold_enter(bigint, boolean), public.freehold_tenant(boolean), public.freehold_operating() TO PUBLIC;
