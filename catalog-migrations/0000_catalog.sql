CREATE TABLE "account_memberships" (
	"account_id" uuid NOT NULL,
	"tenant_id" uuid NOT NULL,
	"roles" text[] NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "account_memberships_pkey" PRIMARY KEY("account_id","tenant_id")
);
--> statement-breakpoint
CREATE TABLE "accounts" (
	"id" uuid PRIMARY KEY NOT NULL,
	"email" text NOT NULL,
	"name" text,
	"password_hash" text NOT NULL,
	"roles" text[] DEFAULT '{}' NOT NULL,
	"status" text DEFAULT 'ACTIVE' NOT NULL,
	"generation" integer DEFAULT 0 NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "accounts_status_check" CHECK ("accounts"."status" in ('ACTIVE', 'INACTIVE'))
);
--> statement-breakpoint
CREATE TABLE "audit_log" (
	"id" uuid PRIMARY KEY NOT NULL,
	"seq" bigint NOT NULL,
	"hash" "bytea" NOT NULL,
	"at" timestamp with time zone DEFAULT now() NOT NULL,
	"actor_type" text NOT NULL,
	"actor_id" text NOT NULL,
	"tenant_id" uuid,
	"acted_for_tenant_id" uuid,
	"action" text NOT NULL,
	"request_id" text,
	"address" text,
	"before" jsonb,
	"after" jsonb
);
--> statement-breakpoint
CREATE TABLE "audit_seals" (
	"seq" bigint PRIMARY KEY NOT NULL,
	"hash" "bytea" NOT NULL,
	"mac" "bytea" NOT NULL,
	"at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "catalog_changes" (
	"seq" bigint PRIMARY KEY NOT NULL,
	"kind" text NOT NULL,
	"tenant_id" uuid,
	"subject_id" text,
	"at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "client_keys" (
	"id" uuid PRIMARY KEY NOT NULL,
	"tenant_id" uuid NOT NULL,
	"name" text NOT NULL,
	"permissions" text[] NOT NULL,
	"prefix" text NOT NULL,
	"lookup" text NOT NULL,
	"secret_hash" "bytea" NOT NULL,
	"expires_at" timestamp with time zone,
	"last_used_at" timestamp with time zone,
	"revoked_at" timestamp with time zone,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "data_keys" (
	"id" uuid PRIMARY KEY NOT NULL,
	"tenant_id" uuid,
	"sealed_key" "bytea" NOT NULL,
	"master_key_id" text NOT NULL,
	"row_version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "operators" (
	"id" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"role" text NOT NULL,
	"prefix" text NOT NULL,
	"lookup" text NOT NULL,
	"token_hash" "bytea" NOT NULL,
	"revoked_at" timestamp with time zone,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "operators_role_check" CHECK ("operators"."role" in ('admin', 'viewer'))
);
--> statement-breakpoint
CREATE TABLE "replicas" (
	"id" uuid PRIMARY KEY NOT NULL,
	"started_at" timestamp with time zone DEFAULT now() NOT NULL,
	"heartbeat_at" timestamp with time zone DEFAULT now() NOT NULL,
	"applied_seq" bigint DEFAULT 0 NOT NULL
);
--> statement-breakpoint
CREATE TABLE "signing_keys" (
	"id" uuid PRIMARY KEY NOT NULL,
	"tenant_id" uuid,
	"kid" text NOT NULL,
	"algorithm" text NOT NULL,
	"sealed_private_key" "bytea" NOT NULL,
	"public_jwk" jsonb,
	"row_version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"verify_until" timestamp with time zone,
	CONSTRAINT "signing_keys_algorithm_check" CHECK ("signing_keys"."algorithm" in ('EdDSA', 'ES256', 'HS256'))
);
--> statement-breakpoint
CREATE TABLE "tenant_databases" (
	"id" uuid PRIMARY KEY NOT NULL,
	"tenant_id" uuid NOT NULL,
	"slot" text NOT NULL,
	"row_version" integer DEFAULT 1 NOT NULL,
	"database_type" text DEFAULT 'postgres' NOT NULL,
	"host" text NOT NULL,
	"port" integer NOT NULL,
	"database_name" text NOT NULL,
	"user_name" text NOT NULL,
	"application_name" text,
	"ssl_mode" text NOT NULL,
	"ca_certificate" text,
	"sealed_connection_string" "bytea" NOT NULL,
	"pool_size" integer NOT NULL,
	"idle_timeout_seconds" integer NOT NULL,
	"connection_timeout_seconds" integer NOT NULL,
	"apply_migrations" boolean NOT NULL,
	"status" text DEFAULT 'pending_validation' NOT NULL,
	"move_required" boolean DEFAULT false NOT NULL,
	"last_error_code" text,
	"last_error_message" text,
	"last_error_at" timestamp with time zone,
	"consecutive_failures" integer DEFAULT 0 NOT NULL,
	"last_checked_at" timestamp with time zone,
	"validated_at" timestamp with time zone,
	"schema_version" text,
	"server_version" text,
	"system_identifier" text,
	"database_oid" bigint,
	"validation_requested" boolean DEFAULT true NOT NULL,
	"validation_attempts" integer DEFAULT 0 NOT NULL,
	"next_attempt_at" timestamp with time zone DEFAULT now() NOT NULL,
	"claimed_by" uuid,
	"claimed_until" timestamp with time zone,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "tenant_databases_slot_check" CHECK ("tenant_databases"."slot" in ('current', 'candidate')),
	CONSTRAINT "tenant_databases_status_check" CHECK ("tenant_databases"."status" in ('pending_validation', 'active', 'failed', 'inactive'))
);
--> statement-breakpoint
CREATE TABLE "tenants" (
	"id" uuid PRIMARY KEY NOT NULL,
	"code" text NOT NULL,
	"name" text NOT NULL,
	"status" text DEFAULT 'ACTIVE' NOT NULL,
	"parent_id" uuid,
	"placement" text DEFAULT 'shared' NOT NULL,
	"epoch" bigint DEFAULT 1 NOT NULL,
	"auth_config" jsonb NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "tenants_code_check" CHECK ("tenants"."code" ~ '^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$'),
	CONSTRAINT "tenants_status_check" CHECK ("tenants"."status" in ('ACTIVE', 'INACTIVE')),
	CONSTRAINT "tenants_placement_check" CHECK ("tenants"."placement" in ('shared', 'dedicated')),
	CONSTRAINT "tenants_parent_check" CHECK ("tenants"."parent_id" <> "tenants"."id")
);
--> statement-breakpoint
ALTER TABLE "account_memberships" ADD CONSTRAINT "account_memberships_account_id_accounts_id_fk" FOREIGN KEY ("account_id") REFERENCES "public"."accounts"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "account_memberships" ADD CONSTRAINT "account_memberships_tenant_id_tenants_id_fk" FOREIGN KEY ("tenant_id") REFERENCES "public"."tenants"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "client_keys" ADD CONSTRAINT "client_keys_tenant_id_tenants_id_fk" FOREIGN KEY ("tenant_id") REFERENCES "public"."tenants"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "data_keys" ADD CONSTRAINT "data_keys_tenant_id_tenants_id_fk" FOREIGN KEY ("tenant_id") REFERENCES "public"."tenants"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "signing_keys" ADD CONSTRAINT "signing_keys_tenant_id_tenants_id_fk" FOREIGN KEY ("tenant_id") REFERENCES "public"."tenants"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "tenant_databases" ADD CONSTRAINT "tenant_databases_tenant_id_tenants_id_fk" FOREIGN KEY ("tenant_id") REFERENCES "public"."tenants"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "tenants" ADD CONSTRAINT "tenants_parent_id_tenants_id_fk" FOREIGN KEY ("parent_id") REFERENCES "public"."tenants"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "account_memberships_tenant_idx" ON "account_memberships" USING btree ("tenant_id","account_id");--> statement-breakpoint
CREATE UNIQUE INDEX "accounts_email_key" ON "accounts" USING btree (lower("email"));--> statement-breakpoint
CREATE UNIQUE INDEX "audit_log_seq_key" ON "audit_log" USING btree ("seq");--> statement-breakpoint
CREATE INDEX "audit_log_tenant_idx" ON "audit_log" USING btree ("tenant_id","id");--> statement-breakpoint
CREATE INDEX "audit_log_acted_for_idx" ON "audit_log" USING btree ("acted_for_tenant_id","id");--> statement-breakpoint
CREATE INDEX "audit_log_actor_idx" ON "audit_log" USING btree ("actor_id","id");--> statement-breakpoint
CREATE INDEX "audit_log_action_idx" ON "audit_log" USING btree ("action","id");--> statement-breakpoint
CREATE INDEX "catalog_changes_tokens_idx" ON "catalog_changes" USING btree ("at") WHERE "catalog_changes"."kind" = 'tokens';--> statement-breakpoint
CREATE UNIQUE INDEX "client_keys_lookup_key" ON "client_keys" USING btree ("lookup");--> statement-breakpoint
CREATE INDEX "client_keys_tenant_idx" ON "client_keys" USING btree ("tenant_id","id");--> statement-breakpoint
CREATE UNIQUE INDEX "data_keys_tenant_key" ON "data_keys" USING btree (coalesce("tenant_id", '00000000-0000-0000-0000-000000000000'::uuid));--> statement-breakpoint
CREATE INDEX "data_keys_master_key_idx" ON "data_keys" USING btree ("master_key_id");--> statement-breakpoint
CREATE UNIQUE INDEX "operators_lookup_key" ON "operators" USING btree ("lookup");--> statement-breakpoint
CREATE UNIQUE INDEX "signing_keys_kid_key" ON "signing_keys" USING btree ("kid");--> statement-breakpoint
CREATE INDEX "signing_keys_tenant_idx" ON "signing_keys" USING btree ("tenant_id");--> statement-breakpoint
CREATE UNIQUE INDEX "tenant_databases_tenant_slot_key" ON "tenant_databases" USING btree ("tenant_id","slot");--> statement-breakpoint
CREATE INDEX "tenant_databases_due_idx" ON "tenant_databases" USING btree ("next_attempt_at") WHERE "tenant_databases"."validation_requested";--> statement-breakpoint
CREATE INDEX "tenant_databases_status_idx" ON "tenant_databases" USING btree ("status","last_checked_at");--> statement-breakpoint
CREATE UNIQUE INDEX "tenants_code_key" ON "tenants" USING btree ("code");--> statement-breakpoint
CREATE INDEX "tenants_parent_id_idx" ON "tenants" USING btree ("parent_id");