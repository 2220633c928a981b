CREATE INDEX "tenant_databases_due_idx" ON "tenant_databases" USING btree ("last_checked_at" NULLS FIRST) WHERE "tenant_databases"."status" in ('active', 'inactive');--> statement-breakpoint
CREATE INDEX "tenants_status_idx" ON "tenants" USING btree ("status","id");--> statement-breakpoint
CREATE INDEX "tenants_placement_idx" ON "tenants" USING btree ("placement","id");