CREATE TABLE "migration_run_databases" (
	"id" uuid PRIMARY KEY NOT NULL,
	"run_id" uuid NOT NULL,
	"database_id" uuid,
	"tenant_id" uuid,
	"wave" integer NOT NULL,
	"server" text DEFAULT '' NOT NULL,
	"state" text DEFAULT 'waiting' NOT NULL,
	"job_id" uuid,
	"schema_version" jsonb,
	"error_code" text,
	"error_message" text,
	"started_at" timestamp with time zone,
	"finished_at" timestamp with time zone,
	CONSTRAINT "migration_run_databases_state_check" CHECK ("migration_run_databases"."state" in ('waiting', 'retrying', 'running', 'succeeded', 'failed', 'skipped')),
	CONSTRAINT "migration_run_databases_job_check" CHECK ("migration_run_databases"."state" <> 'running' or "migration_run_databases"."job_id" is not null)
);
--> statement-breakpoint
ALTER TABLE "migration_runs" DROP CONSTRAINT "migration_runs_status_check";--> statement-breakpoint
ALTER TABLE "migration_runs" DROP CONSTRAINT "migration_runs_finished_check";--> statement-breakpoint
ALTER TABLE "migration_runs" ADD COLUMN "mode" text DEFAULT 'all' NOT NULL;--> statement-breakpoint
ALTER TABLE "migration_runs" ADD COLUMN "needs" text[] DEFAULT '{}' NOT NULL;--> statement-breakpoint
ALTER TABLE "migration_runs" ADD COLUMN "options" jsonb;--> statement-breakpoint
ALTER TABLE "migration_runs" ADD COLUMN "wave" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "migration_runs" ADD COLUMN "waves" jsonb;--> statement-breakpoint
ALTER TABLE "migration_runs" ADD COLUMN "forgiven" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "migration_run_databases" ADD CONSTRAINT "migration_run_databases_run_id_migration_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "public"."migration_runs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "migration_run_databases_run_idx" ON "migration_run_databases" USING btree ("run_id","id");--> statement-breakpoint
CREATE INDEX "migration_run_databases_next_idx" ON "migration_run_databases" USING btree ("run_id","state","wave","id");--> statement-breakpoint
-- A run of the release before has one wave, and a job for each of its databases.
INSERT INTO "migration_run_databases" ("id", "run_id", "database_id", "tenant_id", "wave", "server", "state", "job_id", "schema_version", "error_code", "error_message", "started_at", "finished_at")
SELECT j."id", j."run_id", CASE j."subject" WHEN 'shared' THEN NULL ELSE j."subject"::uuid END, j."tenant_id", 0,
       coalesce(d."host" || ':' || d."port", ''),
       CASE j."status" WHEN 'succeeded' THEN 'succeeded' WHEN 'failed' THEN 'failed' WHEN 'cancelled' THEN 'skipped' ELSE 'running' END,
       j."id", j."result" -> 'schemaVersion', CASE j."status" WHEN 'cancelled' THEN 'CANCELLED' ELSE j."error_code" END,
       CASE j."status" WHEN 'cancelled' THEN 'The migration was cancelled' ELSE j."error_message" END, j."started_at", j."finished_at"
FROM "jobs" j
JOIN "migration_runs" r ON r."id" = j."run_id"
LEFT JOIN "tenant_databases" d ON d."id"::text = j."subject";--> statement-breakpoint
UPDATE "migration_runs" SET "total" = "done" + "failed" + "skipped" WHERE "finished_at" IS NOT NULL;--> statement-breakpoint
UPDATE "migration_runs" r SET "total" = (SELECT count(*) FROM "migration_run_databases" m WHERE m."run_id" = r."id")
WHERE "finished_at" IS NULL;--> statement-breakpoint
UPDATE "migration_runs" SET "waves" = jsonb_build_array(jsonb_build_object('size', "total", 'done', "done", 'failed', "failed")),
       "options" = '{"shared": "first", "canary": 0, "waves": [100], "concurrency": 8, "perServer": 2, "lockTimeoutMs": 2000, "haltAfterFailures": 1000000}';--> statement-breakpoint
ALTER TABLE "migration_runs" ALTER COLUMN "options" SET NOT NULL;--> statement-breakpoint
ALTER TABLE "migration_runs" ALTER COLUMN "waves" SET NOT NULL;--> statement-breakpoint
ALTER TABLE "migration_runs" ADD CONSTRAINT "migration_runs_counts_check" CHECK ("migration_runs"."finished_at" is null or "migration_runs"."total" = "migration_runs"."done" + "migration_runs"."failed" + "migration_runs"."skipped");--> statement-breakpoint
ALTER TABLE "migration_runs" ADD CONSTRAINT "migration_runs_status_check" CHECK ("migration_runs"."status" in ('running', 'paused', 'halted', 'succeeded', 'failed', 'cancelled'));--> statement-breakpoint
ALTER TABLE "migration_runs" ADD CONSTRAINT "migration_runs_finished_check" CHECK (("migration_runs"."status" in ('running', 'paused', 'halted')) = ("migration_runs"."finished_at" is null));