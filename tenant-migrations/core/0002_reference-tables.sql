-- Tables that belong to no tenant, such as countries or plans: every tenant reads them, migrations write them. Every name
-- and operator is qualified, as in 0001_isolation.

-- The second door: where one role serves and owns everything, no grant keeps it from writing. What a handler writes by
-- mistake is then refused as it is elsewhere. In migrations no tenant is set.
CREATE FUNCTION public.freehold_read_only() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF pg_catalog.current_setting('app.tenant_id', true) OPERATOR(pg_catalog.<>) '' THEN
    RAISE EXCEPTION 'table % belongs to no tenant, and is written by migrations only', TG_TABLE_NAME
      USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NULL;
END
$$;
--> statement-breakpoint
-- Called by the migration that creates such a table, and may be called again. Default privileges have given the serving
-- role the right to write by then; all that is taken away, and who reads the tenants' users may read this table.
CREATE FUNCTION public.freehold_share(p_table pg_catalog.regclass) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  v_role pg_catalog.text;
BEGIN
  FOR v_role IN
    SELECT DISTINCT coalesce(pg_catalog.quote_ident(r.rolname), 'PUBLIC')
      FROM pg_catalog.pg_class AS c
      CROSS JOIN LATERAL (
        SELECT t.grantee FROM pg_catalog.aclexplode(c.relacl) AS t
        UNION ALL
        SELECT s.grantee FROM pg_catalog.pg_attribute AS a, LATERAL pg_catalog.aclexplode(a.attacl) AS s
          WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid
      ) AS x
      LEFT JOIN pg_catalog.pg_roles AS r ON r.oid OPERATOR(pg_catalog.=) x.grantee
     WHERE c.oid OPERATOR(pg_catalog.=) p_table AND x.grantee OPERATOR(pg_catalog.<>) c.relowner
  LOOP
    EXECUTE pg_catalog.format('REVOKE ALL ON TABLE %s FROM %s CASCADE', p_table, v_role);
  END LOOP;
  FOR v_role IN
    SELECT pg_catalog.quote_ident(r.rolname)
      FROM pg_catalog.pg_class AS c
      CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS x
      JOIN pg_catalog.pg_roles AS r ON r.oid OPERATOR(pg_catalog.=) x.grantee
     WHERE c.oid OPERATOR(pg_catalog.=) 'public.users'::pg_catalog.regclass
       AND x.privilege_type OPERATOR(pg_catalog.=) 'SELECT'
       AND x.grantee OPERATOR(pg_catalog.<>) c.relowner
  LOOP
    EXECUTE pg_catalog.format('GRANT SELECT ON TABLE %s TO %s', p_table, v_role);
  END LOOP;
  EXECUTE pg_catalog.format(
    'CREATE OR REPLACE TRIGGER freehold_read_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s '
      'FOR EACH STATEMENT EXECUTE FUNCTION public.freehold_read_only()',
    p_table
  );
END
$$;
--> statement-breakpoint
-- For migrations only: a role that does not own the table cannot use them.
REVOKE ALL ON FUNCTION public.freehold_read_only() FROM PUBLIC;
--> statement-breakpoint
REVOKE ALL ON FUNCTION public.freehold_share(pg_catalog.regclass) FROM PUBLIC;
--> statement-breakpoint
-- The journal is of this kind too: what it says decides which migrations are applied.
SELECT public.freehold_share('public.freehold_migrations');
