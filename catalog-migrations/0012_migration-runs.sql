CREATE TABLE "migration_runs" (
	"id" uuid PRIMARY KEY NOT NULL,
	"status" text DEFAULT 'running' NOT NULL,
	"target" jsonb NOT NULL,
	"total" integer NOT NULL,
	"done" integer DEFAULT 0 NOT NULL,
	"failed" integer DEFAULT 0 NOT NULL,
	"skipped" integer DEFAULT 0 NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"finished_at" timestamp with time zone,
	CONSTRAINT "migration_runs_status_check" CHECK ("migration_runs"."status" in ('running', 'succeeded', 'failed', 'cancelled')),
	CONSTRAINT "migration_runs_finished_check" CHECK (("migration_runs"."status" = 'running') = ("migration_runs"."finished_at" is null))
);
--> statement-breakpoint
CREATE UNIQUE INDEX "migration_runs_unfinished_key" ON "migration_runs" USING btree (("finished_at" is null)) WHERE "migration_runs"."finished_at" is null;