-- freehold: former 0000_tenant 22b6d5c71ccb7a3856a895f18952f4a1be6937136a69a588475dd8761b14bf14
-- freehold: former 0001_isolation 71ddcf4b0e4faf4bc9275dc12c08d9adfcc41575d4040b2efa09a96d98246bde
-- freehold: former 0002_reference-application dd0b8d8e159f523cc8ab419e157b5247a0108979811724617c63b1553f300259
-- freehold: former 0003_reference-rules 0df419e6721d370932cf29fa2dc987292c2ef501a02a3d09ac3960b50ac81049
-- How a tenant is entered, and how its rows are kept apart. Every name and operator is qualified: the owner of a dedicated
-- database may set any search_path, and a body must mean the same under all of them.

-- The first part of every unit and transaction. Raises FH001 (not resident), FH002 (another epoch) or FH003 (fenced), so
-- that the statement behind it never runs; else the tenant's rows are visible until the transaction ends.
-- A writer takes the shared lock BEFORE it reads the residence: when it had to wait for a mover, which holds the lock
-- exclusively and fences, it then sees the fence. That needs READ COMMITTED, where the look-up has a snapshot of its own.
CREATE FUNCTION public.freehold_enter(p_tenant pg_catalog.uuid, p_epoch bigint, p_write boolean) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  v_epoch bigint;
  v_state pg_catalog.text;
BEGIN
  IF p_write THEN
    PERFORM pg_catalog.pg_advisory_xact_lock_shared(pg_catalog.hashtextextended(p_tenant::pg_catalog.text, 0));
  ELSE
    PERFORM pg_catalog.set_config('transaction_read_only', 'on', true);
  END IF;
  SELECT r.epoch, r.state INTO v_epoch, v_state
    FROM public.residence AS r WHERE r.tenant_id OPERATOR(pg_catalog.=) p_tenant;
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
  PERFORM pg_catalog.set_config('app.tenant_id', p_tenant::pg_catalog.text, true);
END
$$;
--> statement-breakpoint
GRANT EXECUTE ON FUNCTION public.freehold_enter(pg_catalog.uuid, bigint, boolean) TO PUBLIC;
--> statement-breakpoint
-- Called by the migration that creates a tenant's table. Forced, because otherwise the owner sees every row. nullif, because
-- the setting is NULL in a fresh session and '' after its first transaction. The scalar subselect is evaluated once a
-- statement, not once a row.
CREATE FUNCTION public.freehold_protect(p_table pg_catalog.regclass) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  EXECUTE pg_catalog.format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', p_table);
  EXECUTE pg_catalog.format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', p_table);
  EXECUTE pg_catalog.format(
    'CREATE POLICY tenant_isolation ON %1$s FOR ALL USING (%2$s) WITH CHECK (%2$s)',
    p_table,
    'tenant_id OPERATOR(pg_catalog.=) '
      '(SELECT nullif(pg_catalog.current_setting(''app.tenant_id'', true), '''')::pg_catalog.uuid)'
  );
END
$$;
--> statement-breakpoint
-- For migrations only: a role that does not own the table cannot use it.
REVOKE ALL ON FUNCTION public.freehold_protect(pg_catalog.regclass) FROM PUBLIC;
--> statement-breakpoint
-- `residence` stays outside: freehold_enter reads it before there is a tenant, and it holds no tenant's data, only which
-- ids live here at which epoch. The audit names it, and the migrations' journal, as infrastructure.
SELECT public.freehold_protect('public.users');
--> statement-breakpoint
SELECT public.freehold_protect('public.roles');
--> statement-breakpoint
SELECT public.freehold_protect('public.role_permissions');
--> statement-breakpoint
SELECT public.freehold_protect('public.user_roles');
--> statement-breakpoint
SELECT public.freehold_protect('public.sessions');
--> statement-breakpoint
SELECT public.freehold_protect('public.login_attempts');
--> statement-breakpoint
SELECT public.freehold_protect('public.idempotency_keys');
