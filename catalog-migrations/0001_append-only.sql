-- What was recorded stays recorded: a mistake or a stolen credential of the service cannot rewrite the audit log, and a
-- follower of catalog_changes may rely on having seen all of 1..n. Statement-level, so that a change of no rows is
-- refused as well; ALWAYS, so that session_replication_role does not switch it off.
CREATE FUNCTION public.freehold_append_only() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'table % is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;
--> statement-breakpoint
REVOKE ALL ON FUNCTION public.freehold_append_only() FROM PUBLIC;
--> statement-breakpoint
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.audit_log
  FOR EACH STATEMENT EXECUTE FUNCTION public.freehold_append_only();
--> statement-breakpoint
ALTER TABLE public.audit_log ENABLE ALWAYS TRIGGER append_only;
--> statement-breakpoint
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.catalog_changes
  FOR EACH STATEMENT EXECUTE FUNCTION public.freehold_append_only();
--> statement-breakpoint
ALTER TABLE public.catalog_changes ENABLE ALWAYS TRIGGER append_only;
--> statement-breakpoint
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.audit_seals
  FOR EACH STATEMENT EXECUTE FUNCTION public.freehold_append_only();
--> statement-breakpoint
ALTER TABLE public.audit_seals ENABLE ALWAYS TRIGGER append_only;
