CREATE TABLE "jobs" (
	"id" uuid PRIMARY KEY NOT NULL,
	"kind" text NOT NULL,
	"subject" text NOT NULL,
	"tenant_id" uuid,
	"server_id" uuid,
	"run_id" uuid,
	"status" text DEFAULT 'queued' NOT NULL,
	"step" text,
	"payload" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"sealed_payload" "bytea",
	"needs" text[] DEFAULT '{}' NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"progress_done" integer,
	"progress_total" integer,
	"result" jsonb,
	"error_code" text,
	"error_message" text,
	"error_at" timestamp with time zone,
	"due_at" timestamp with time zone DEFAULT now() NOT NULL,
	"leased_by" uuid,
	"leased_until" timestamp with time zone,
	"cancel_requested" boolean DEFAULT false NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"started_at" timestamp with time zone,
	"finished_at" timestamp with time zone,
	CONSTRAINT "jobs_status_check" CHECK ("jobs"."status" in ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
	CONSTRAINT "jobs_finished_check" CHECK (("jobs"."status" in ('queued', 'running')) = ("jobs"."finished_at" is null)),
	CONSTRAINT "jobs_lease_check" CHECK (("jobs"."status" = 'running') = ("jobs"."leased_until" is not null)),
	CONSTRAINT "jobs_secret_check" CHECK ("jobs"."finished_at" is null or "jobs"."sealed_payload" is null)
);
--> statement-breakpoint
DROP INDEX "tenant_databases_due_idx";--> statement-breakpoint
CREATE UNIQUE INDEX "jobs_unfinished_key" ON "jobs" USING btree ("kind","subject") WHERE "jobs"."finished_at" is null;--> statement-breakpoint
CREATE INDEX "jobs_due_idx" ON "jobs" USING btree ("kind","due_at") WHERE "jobs"."finished_at" is null;--> statement-breakpoint
CREATE INDEX "jobs_finished_idx" ON "jobs" USING btree ("finished_at") WHERE "jobs"."finished_at" is not null;--> statement-breakpoint
CREATE INDEX "jobs_tenant_idx" ON "jobs" USING btree ("tenant_id","id");--> statement-breakpoint
CREATE INDEX "jobs_run_idx" ON "jobs" USING btree ("run_id","id") WHERE "jobs"."run_id" is not null;--> statement-breakpoint
-- What is pending under the release before goes on as jobs. Their ids are UUIDs of version 7, for they give the order.
INSERT INTO "jobs" ("id", "kind", "subject", "tenant_id", "due_at")
SELECT (lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0') || '7' || substr(r, 1, 3)
        || '8' || substr(r, 4, 15))::uuid, 'validation', "id"::text, "tenant_id", "next_attempt_at"
FROM (SELECT *, replace(gen_random_uuid()::text, '-', '') AS r FROM "tenant_databases" WHERE "validation_requested") AS pending;--> statement-breakpoint
INSERT INTO "jobs" ("id", "kind", "subject", "payload", "needs")
SELECT "id", 'key-rotation', "id"::text, jsonb_build_object('keyId', "key_id"), ARRAY['primary-key:' || "key_id"]
FROM "encryption_rotations" WHERE "status" = 'running';--> statement-breakpoint
ALTER TABLE "tenant_databases" DROP COLUMN "validation_requested";--> statement-breakpoint
ALTER TABLE "tenant_databases" DROP COLUMN "next_attempt_at";