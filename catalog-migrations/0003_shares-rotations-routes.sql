CREATE TABLE "encryption_rotations" (
	"id" uuid PRIMARY KEY NOT NULL,
	"key_id" text NOT NULL,
	"status" text DEFAULT 'running' NOT NULL,
	"total" integer NOT NULL,
	"remaining" integer,
	"started_at" timestamp with time zone DEFAULT now() NOT NULL,
	"finished_at" timestamp with time zone,
	CONSTRAINT "encryption_rotations_status_check" CHECK ("encryption_rotations"."status" in ('running', 'done', 'failed', 'superseded')),
	CONSTRAINT "encryption_rotations_finished_check" CHECK (("encryption_rotations"."status" = 'running') = ("encryption_rotations"."finished_at" is null) and ("encryption_rotations"."status" = 'running') = ("encryption_rotations"."remaining" is null))
);
--> statement-breakpoint
ALTER TABLE "replicas" ADD COLUMN "connection_share" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "replicas" ADD COLUMN "server_share" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "replicas" ADD COLUMN "primary_key_id" text;--> statement-breakpoint
CREATE UNIQUE INDEX "encryption_rotations_running_key" ON "encryption_rotations" USING btree ("status") WHERE "encryption_rotations"."status" = 'running';--> statement-breakpoint
CREATE INDEX "catalog_changes_routes_idx" ON "catalog_changes" USING btree ("tenant_id","seq") WHERE "catalog_changes"."kind" in ('tenant', 'database');