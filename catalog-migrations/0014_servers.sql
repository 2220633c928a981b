CREATE TABLE "servers" (
	"id" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"row_version" integer DEFAULT 1 NOT NULL,
	"host" text NOT NULL,
	"port" integer NOT NULL,
	"database_name" text NOT NULL,
	"user_name" text NOT NULL,
	"ssl_mode" text NOT NULL,
	"ca_certificate" text,
	"handshake" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"sealed_connection_string" "bytea" NOT NULL,
	"region" text,
	"capacity" integer NOT NULL,
	"status" text DEFAULT 'active' NOT NULL,
	"system_identifier" text,
	"last_error_code" text,
	"last_error_message" text,
	"last_error_at" timestamp with time zone,
	"last_checked_at" timestamp with time zone,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "servers_status_check" CHECK ("servers"."status" in ('active', 'draining')),
	CONSTRAINT "servers_capacity_check" CHECK ("servers"."capacity" >= 0)
);
--> statement-breakpoint
CREATE UNIQUE INDEX "servers_name_key" ON "servers" USING btree (lower("name"));--> statement-breakpoint
CREATE UNIQUE INDEX "servers_address_key" ON "servers" USING btree ("host","port");