ALTER TABLE "replicas" ADD COLUMN "connection_limit" integer;--> statement-breakpoint
ALTER TABLE "replicas" ADD COLUMN "server_limit" integer;