ALTER TABLE "catalog_changes" ADD COLUMN "id" uuid DEFAULT gen_random_uuid() NOT NULL;--> statement-breakpoint
ALTER TABLE "replicas" ADD COLUMN "applied_id" uuid;