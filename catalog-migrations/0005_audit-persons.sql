CREATE TABLE "audit_anchors" (
	"through_seq" bigint PRIMARY KEY NOT NULL,
	"former_hash" "bytea" NOT NULL,
	"hash" "bytea" NOT NULL,
	"first_break" bigint,
	"mac" "bytea",
	"at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "audit_former_seals" (
	"seq" bigint PRIMARY KEY NOT NULL,
	"hash" "bytea" NOT NULL,
	"mac" "bytea" NOT NULL,
	"found" "bytea"
);
--> statement-breakpoint
CREATE TABLE "audit_persons" (
	"audit_id" uuid PRIMARY KEY NOT NULL,
	"person_id" text NOT NULL,
	"tenant_id" uuid,
	"sealed" "bytea" NOT NULL
);
--> statement-breakpoint
CREATE TABLE "audit_persons_unsealed" (
	"audit_id" uuid PRIMARY KEY NOT NULL,
	"person_id" text NOT NULL,
	"tenant_id" uuid,
	"salt" "bytea" NOT NULL,
	"fields" text NOT NULL
);
--> statement-breakpoint
ALTER TABLE "audit_log" ADD COLUMN "commitment" "bytea";--> statement-breakpoint
CREATE INDEX "audit_persons_person_idx" ON "audit_persons" USING btree ("person_id");--> statement-breakpoint
-- The chain covers the commitment from now on. Older rows hold names and addresses of people in clear, so they are rewritten
-- here, once, and chained anew. The former chain is proved first; what is found stands in audit_anchors, which the first start
-- of the service seals after it has checked the former seals. Values of people who are deleted are not kept at all.
CREATE OR REPLACE FUNCTION public.freehold_audit_hash(p_previous pg_catalog.bytea, p_row public.audit_log) RETURNS pg_catalog.bytea
LANGUAGE sql STABLE AS $$
  SELECT pg_catalog.sha256(p_previous OPERATOR(pg_catalog.||) pg_catalog.convert_to(pg_catalog.jsonb_build_array(
    p_row.seq, p_row.id, (extract(epoch FROM p_row.at) OPERATOR(pg_catalog.*) 1000000)::bigint,
    p_row.actor_type, p_row.actor_id, p_row.tenant_id, p_row.acted_for_tenant_id, p_row.action,
    p_row.request_id, p_row.address, p_row.before, p_row.after, pg_catalog.encode(p_row.commitment, 'hex')
  )::pg_catalog.text, 'UTF8'))
$$;
--> statement-breakpoint
ALTER TABLE public.audit_log DISABLE TRIGGER append_only;
--> statement-breakpoint
ALTER TABLE public.audit_seals DISABLE TRIGGER append_only;
--> statement-breakpoint
INSERT INTO public.audit_former_seals (seq, hash, mac) SELECT seq, hash, mac FROM public.audit_seals;
--> statement-breakpoint
DELETE FROM public.audit_seals;
--> statement-breakpoint
DO $$
DECLARE
  c_personal CONSTANT text[] := ARRAY['email', 'username', 'name', 'taxNumber'];
  r public.audit_log;
  v_former bytea := '\x';
  v_hash bytea := '\x';
  v_expected bigint := 1;
  v_break bigint;
  v_values jsonb;
  v_person text;
  v_salt bytea;
  v_marker text;
BEGIN
  FOR r IN SELECT * FROM public.audit_log ORDER BY seq LOOP
    v_former := sha256(v_former || convert_to(jsonb_build_array(
      r.seq, r.id, (extract(epoch FROM r.at) * 1000000)::bigint, r.actor_type, r.actor_id, r.tenant_id,
      r.acted_for_tenant_id, r.action, r.request_id, r.address, r.before, r.after)::text, 'UTF8'));
    IF v_break IS NULL AND (r.seq <> v_expected OR r.hash <> v_former) THEN
      v_break := least(r.seq, v_expected);
    END IF;
    v_expected := r.seq + 1;
    UPDATE public.audit_former_seals SET found = v_former WHERE seq = r.seq;

    IF r.action ~ '^(user|account|membership)\.' THEN
      v_values := (
        SELECT jsonb_object_agg(side, fields) FROM (
          SELECT side, jsonb_object_agg(key, value) AS fields
            FROM (VALUES ('before', r.before), ('after', r.after)) AS sides (side, document),
                 jsonb_each(CASE jsonb_typeof(document) WHEN 'object' THEN document ELSE '{}' END)
           WHERE key = ANY (c_personal) AND value <> 'null'
           GROUP BY side) AS found);
      v_person := coalesce(r.after ->> 'userId', r.before ->> 'userId', r.after ->> 'accountId', r.before ->> 'accountId');
      IF v_values IS NOT NULL AND v_person IS NOT NULL THEN
        v_marker := CASE WHEN r.action IN ('user.delete', 'account.delete') THEN '[erased]' ELSE '[personal]' END;
        IF v_marker = '[personal]' THEN
          v_salt := decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex');
          r.commitment := sha256(v_salt || convert_to(v_values::text, 'UTF8'));
          INSERT INTO public.audit_persons_unsealed (audit_id, person_id, tenant_id, salt, fields) VALUES (
            r.id, v_person, CASE WHEN r.action LIKE 'user.%' THEN coalesce(r.acted_for_tenant_id, r.tenant_id) END,
            v_salt, v_values::text);
        END IF;
        r.before := r.before || coalesce((
          SELECT jsonb_object_agg(key, v_marker) FROM jsonb_object_keys(v_values -> 'before') AS key), '{}');
        r.after := r.after || coalesce((
          SELECT jsonb_object_agg(key, v_marker) FROM jsonb_object_keys(v_values -> 'after') AS key), '{}');
      END IF;
    END IF;

    v_hash := public.freehold_audit_hash(v_hash, r);
    UPDATE public.audit_log SET before = r.before, after = r.after, commitment = r.commitment, hash = v_hash
     WHERE id = r.id;
  END LOOP;
  -- The id is what a tenant's own database said: it may be that of another tenant's person.
  DELETE FROM public.audit_persons_unsealed AS kept USING public.audit_log AS deleted
   WHERE deleted.action IN ('user.delete', 'account.delete')
     AND kept.person_id = coalesce(deleted.before ->> 'userId', deleted.before ->> 'accountId')
     AND kept.tenant_id IS NOT DISTINCT FROM
         CASE WHEN deleted.action LIKE 'user.%' THEN coalesce(deleted.acted_for_tenant_id, deleted.tenant_id) END;
  IF v_expected > 1 THEN
    INSERT INTO public.audit_anchors (through_seq, former_hash, hash, first_break)
    VALUES (v_expected - 1, v_former, v_hash, v_break);
  END IF;
END
$$;
--> statement-breakpoint
ALTER TABLE public.audit_log ENABLE ALWAYS TRIGGER append_only;
--> statement-breakpoint
ALTER TABLE public.audit_seals ENABLE ALWAYS TRIGGER append_only;
--> statement-breakpoint
-- The verdict on the former chain is written once and stays.
CREATE TRIGGER sealed_once BEFORE UPDATE ON public.audit_anchors
  FOR EACH ROW WHEN (OLD.mac IS NOT NULL) EXECUTE FUNCTION public.freehold_append_only();
--> statement-breakpoint
ALTER TABLE public.audit_anchors ENABLE ALWAYS TRIGGER sealed_once;
--> statement-breakpoint
CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON public.audit_anchors
  FOR EACH STATEMENT EXECUTE FUNCTION public.freehold_append_only();
--> statement-breakpoint
ALTER TABLE public.audit_anchors ENABLE ALWAYS TRIGGER append_only;
--> statement-breakpoint
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.audit_former_seals
  FOR EACH STATEMENT EXECUTE FUNCTION public.freehold_append_only();
--> statement-breakpoint
ALTER TABLE public.audit_former_seals ENABLE ALWAYS TRIGGER append_only;
