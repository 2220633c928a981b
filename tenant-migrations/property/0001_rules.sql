-- freehold: former 0000_tenant 22b6d5c71ccb7a3856a895f18952f4a1be6937136a69a588475dd8761b14bf14
-- freehold: former 0001_isolation 71ddcf4b0e4faf4bc9275dc12c08d9adfcc41575d4040b2efa09a96d98246bde
-- freehold: former 0002_reference-application dd0b8d8e159f523cc8ab419e157b5247a0108979811724617c63b1553f300259
-- freehold: former 0003_reference-rules 0df419e6721d370932cf29fa2dc987292c2ef501a02a3d09ac3960b50ac81049
-- What drizzle has no words for. Every name and operator is qualified, as in the core's 0001_isolation.

-- Equality of uuid inside a GiST index. A trusted extension: a role that may create in the database may create it.
CREATE EXTENSION IF NOT EXISTS btree_gist;
--> statement-breakpoint
-- Drafts may overlap, for they are offers. A lease without an end lasts.
ALTER TABLE public.leases ADD CONSTRAINT leases_overlap_excl EXCLUDE USING gist (
  tenant_id WITH =, estate_id WITH =, daterange(starts_on, ends_on, '[]') WITH &&
) WHERE (status <> 'draft');
--> statement-breakpoint
CREATE FUNCTION public.freehold_link_lessees() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP OPERATOR(pg_catalog.=) 'UPDATE' THEN
    DELETE FROM public.lease_lessees
     WHERE tenant_id OPERATOR(pg_catalog.=) NEW.tenant_id AND lease_id OPERATOR(pg_catalog.=) NEW.id;
  END IF;
  INSERT INTO public.lease_lessees (tenant_id, lease_id, lessee_id)
    SELECT DISTINCT NEW.tenant_id, NEW.id, lessee FROM pg_catalog.unnest(NEW.lessee_ids) AS lessee;
  RETURN NULL;
END
$$;
--> statement-breakpoint
CREATE TRIGGER link_lessees AFTER INSERT OR UPDATE OF lessee_ids ON public.leases
  FOR EACH ROW EXECUTE FUNCTION public.freehold_link_lessees();
--> statement-breakpoint
-- Waits for the tenant's other writers by the balance's row, whose check refuses what would go below zero.
CREATE FUNCTION public.freehold_keep_balance() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO public.credit_balances AS b (tenant_id, balance) VALUES (NEW.tenant_id, 0) ON CONFLICT DO NOTHING;
  UPDATE public.credit_balances SET balance = balance OPERATOR(pg_catalog.+) NEW.amount
   WHERE tenant_id OPERATOR(pg_catalog.=) NEW.tenant_id;
  IF NEW.amount OPERATOR(pg_catalog.>) 0 THEN
    INSERT INTO public.payments (tenant_id, id, credit_id, amount, payment_reference)
      VALUES (NEW.tenant_id, NEW.id, NEW.id, NEW.amount, NEW.payment_reference);
  END IF;
  RETURN NULL;
END
$$;
--> statement-breakpoint
CREATE TRIGGER keep_balance AFTER INSERT ON public.credits
  FOR EACH ROW EXECUTE FUNCTION public.freehold_keep_balance();
--> statement-breakpoint
-- Ledger, proofs and what was signed are history: a row that could be changed would prove nothing. Statement-level, so
-- that a change of no rows is refused as well.
CREATE FUNCTION public.freehold_append_only() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'table % is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;
--> statement-breakpoint
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON public.credits
  FOR EACH STATEMENT EXECUTE FUNCTION public.freehold_append_only();
--> statement-breakpoint
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON public.payments
  FOR EACH STATEMENT EXECUTE FUNCTION public.freehold_append_only();
--> statement-breakpoint
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON public.proofs
  FOR EACH STATEMENT EXECUTE FUNCTION public.freehold_append_only();
--> statement-breakpoint
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON public.document_files
  FOR EACH STATEMENT EXECUTE FUNCTION public.freehold_append_only();
--> statement-breakpoint
REVOKE ALL ON FUNCTION public.freehold_link_lessees(), public.freehold_keep_balance(), public.freehold_append_only() FROM PUBLIC;
--> statement-breakpoint
SELECT public.freehold_protect('public.places');
--> statement-breakpoint
SELECT public.freehold_protect('public.estates');
--> statement-breakpoint
SELECT public.freehold_protect('public.rooms');
--> statement-breakpoint
SELECT public.freehold_protect('public.equipment');
--> statement-breakpoint
SELECT public.freehold_protect('public.lessees');
--> statement-breakpoint
SELECT public.freehold_protect('public.owners');
--> statement-breakpoint
SELECT public.freehold_protect('public.contacts');
--> statement-breakpoint
SELECT public.freehold_protect('public.leases');
--> statement-breakpoint
SELECT public.freehold_protect('public.lease_lessees');
--> statement-breakpoint
SELECT public.freehold_protect('public.charges');
--> statement-breakpoint
SELECT public.freehold_protect('public.documents');
--> statement-breakpoint
SELECT public.freehold_protect('public.document_files');
--> statement-breakpoint
SELECT public.freehold_protect('public.signatures');
--> statement-breakpoint
SELECT public.freehold_protect('public.proofs');
--> statement-breakpoint
SELECT public.freehold_protect('public.credits');
--> statement-breakpoint
SELECT public.freehold_protect('public.credit_balances');
--> statement-breakpoint
SELECT public.freehold_protect('public.payments');
--> statement-breakpoint
SELECT public.freehold_protect('public.media');
--> statement-breakpoint
SELECT public.freehold_protect('public.media_chunks');
