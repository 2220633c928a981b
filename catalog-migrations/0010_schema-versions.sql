-- What was recorded before lineages says nothing of them: it is read anew when a database is looked at next.
ALTER TABLE "tenant_databases" ALTER COLUMN "schema_version" SET DATA TYPE jsonb USING NULL;
