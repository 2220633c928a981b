-- Each row of the audit log carries its number and the SHA-256 of the row before together with its own content, so that a
-- row that is changed, left out or put in between shows. The lock is held until the transaction ends: the next writer sees
-- the row on which it builds. It is taken before that of catalog_changes, in every transaction that takes both.
-- Moments as microseconds and documents as jsonb's own text: neither depends on a setting of the session.
CREATE FUNCTION public.freehold_audit_hash(p_previous pg_catalog.bytea, p_row public.audit_log) RETURNS pg_catalog.bytea
LANGUAGE sql STABLE AS $$
  SELECT pg_catalog.sha256(p_previous OPERATOR(pg_catalog.||) pg_catalog.convert_to(pg_catalog.jsonb_build_array(
    p_row.seq, p_row.id, (extract(epoch FROM p_row.at) OPERATOR(pg_catalog.*) 1000000)::bigint,
    p_row.actor_type, p_row.actor_id, p_row.tenant_id, p_row.acted_for_tenant_id, p_row.action,
    p_row.request_id, p_row.address, p_row.before, p_row.after
  )::pg_catalog.text, 'UTF8'))
$$;
--> statement-breakpoint
-- The sequence of two statements matters: the second has a snapshot of its own, taken under the lock. 'fhau' in ASCII.
CREATE FUNCTION public.freehold_chain_audit() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
  v_last public.audit_log;
BEGIN
  PERFORM pg_catalog.pg_advisory_xact_lock(1718116725);
  SELECT * INTO v_last FROM public.audit_log ORDER BY seq DESC LIMIT 1;
  NEW.seq := coalesce(v_last.seq, 0) OPERATOR(pg_catalog.+) 1;
  NEW.hash := public.freehold_audit_hash(coalesce(v_last.hash, '\x'::pg_catalog.bytea), NEW);
  RETURN NEW;
END
$$;
--> statement-breakpoint
REVOKE ALL ON FUNCTION public.freehold_chain_audit() FROM PUBLIC;
--> statement-breakpoint
CREATE TRIGGER chain BEFORE INSERT ON public.audit_log
  FOR EACH ROW EXECUTE FUNCTION public.freehold_chain_audit();
--> statement-breakpoint
ALTER TABLE public.audit_log ENABLE ALWAYS TRIGGER chain;
