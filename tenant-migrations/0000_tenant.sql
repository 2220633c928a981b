CREATE TABLE "equipment" (
	"tenant_id" uuid NOT NULL,
	"id" uuid NOT NULL,
	"room_id" uuid NOT NULL,
	"name" text NOT NULL,
	"condition" text,
	"acquired_on" date,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "equipment_pkey" PRIMARY KEY("tenant_id","id"),
	CONSTRAINT "equipment_condition_check" CHECK ("equipment"."condition" in ('new', 'good', 'fair', 'poor'))
);
--> statement-breakpoint
CREATE TABLE "estates" (
	"tenant_id" uuid NOT NULL,
	"id" uuid NOT NULL,
	"place_id" uuid NOT NULL,
	"name" text NOT NULL,
	"reference" text,
	"surface_m2" double precision,
	"floor" integer,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "estates_pkey" PRIMARY KEY("tenant_id","id"),
	CONSTRAINT "estates_surface_check" CHECK ("estates"."surface_m2" >= 0)
);
--> statement-breakpoint
CREATE TABLE "login_attempts" (
	"tenant_id" uuid NOT NULL,
	"subject" text NOT NULL,
	"attempts" integer NOT NULL,
	"expires_at" timestamp with time zone NOT NULL,
	CONSTRAINT "login_attempts_pkey" PRIMARY KEY("tenant_id","subject"),
	CONSTRAINT "login_attempts_subject_check" CHECK ("login_attempts"."subject" ~ '^[0-9a-f]{64}$')
);
--> statement-breakpoint
CREATE TABLE "places" (
	"tenant_id" uuid NOT NULL,
	"id" uuid NOT NULL,
	"name" text NOT NULL,
	"kind" text,
	"address" jsonb,
	"latitude" double precision,
	"longitude" double precision,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "places_pkey" PRIMARY KEY("tenant_id","id"),
	CONSTRAINT "places_kind_check" CHECK ("places"."kind" in ('building', 'land', 'parking', 'other')),
	CONSTRAINT "places_latitude_check" CHECK ("places"."latitude" between -90 and 90),
	CONSTRAINT "places_longitude_check" CHECK ("places"."longitude" between -180 and 180)
);
--> statement-breakpoint
CREATE TABLE "residence" (
	"tenant_id" uuid PRIMARY KEY NOT NULL,
	"epoch" bigint NOT NULL,
	"state" text DEFAULT 'open' NOT NULL,
	"stamped_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "residence_state_check" CHECK ("residence"."state" in ('open', 'fenced'))
);
--> statement-breakpoint
CREATE TABLE "role_permissions" (
	"tenant_id" uuid NOT NULL,
	"role_id" uuid NOT NULL,
	"permission" text NOT NULL,
	CONSTRAINT "role_permissions_pkey" PRIMARY KEY("tenant_id","role_id","permission")
);
--> statement-breakpoint
CREATE TABLE "roles" (
	"tenant_id" uuid NOT NULL,
	"id" uuid NOT NULL,
	"name" text NOT NULL,
	"description" text,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "roles_pkey" PRIMARY KEY("tenant_id","id")
);
--> statement-breakpoint
CREATE TABLE "rooms" (
	"tenant_id" uuid NOT NULL,
	"id" uuid NOT NULL,
	"estate_id" uuid NOT NULL,
	"name" text NOT NULL,
	"kind" text,
	"surface_m2" double precision,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "rooms_pkey" PRIMARY KEY("tenant_id","id"),
	CONSTRAINT "rooms_surface_check" CHECK ("rooms"."surface_m2" >= 0)
);
--> statement-breakpoint
CREATE TABLE "sessions" (
	"tenant_id" uuid NOT NULL,
	"id" uuid NOT NULL,
	"family_id" uuid NOT NULL,
	"user_id" uuid NOT NULL,
	"token_hash" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"last_used_at" timestamp with time zone DEFAULT now() NOT NULL,
	"expires_at" timestamp with time zone NOT NULL,
	"absolute_expires_at" timestamp with time zone NOT NULL,
	"revoked_at" timestamp with time zone,
	"replaced_at" timestamp with time zone,
	CONSTRAINT "sessions_pkey" PRIMARY KEY("tenant_id","id"),
	CONSTRAINT "sessions_token_hash_check" CHECK ("sessions"."token_hash" ~ '^[0-9a-f]{64}$')
);
--> statement-breakpoint
CREATE TABLE "user_roles" (
	"tenant_id" uuid NOT NULL,
	"user_id" uuid NOT NULL,
	"role_id" uuid NOT NULL,
	CONSTRAINT "user_roles_pkey" PRIMARY KEY("tenant_id","user_id","role_id")
);
--> statement-breakpoint
CREATE TABLE "users" (
	"tenant_id" uuid NOT NULL,
	"id" uuid NOT NULL,
	"email" text NOT NULL,
	"username" text,
	"name" text,
	"tax_number" text,
	"password_hash" text NOT NULL,
	"status" text DEFAULT 'ACTIVE' NOT NULL,
	"generation" integer DEFAULT 0 NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "users_pkey" PRIMARY KEY("tenant_id","id"),
	CONSTRAINT "users_status_check" CHECK ("users"."status" in ('ACTIVE', 'INACTIVE'))
);
--> statement-breakpoint
ALTER TABLE "equipment" ADD CONSTRAINT "equipment_room_fkey" FOREIGN KEY ("tenant_id","room_id") REFERENCES "public"."rooms"("tenant_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "estates" ADD CONSTRAINT "estates_place_fkey" FOREIGN KEY ("tenant_id","place_id") REFERENCES "public"."places"("tenant_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "role_permissions" ADD CONSTRAINT "role_permissions_role_fkey" FOREIGN KEY ("tenant_id","role_id") REFERENCES "public"."roles"("tenant_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "rooms" ADD CONSTRAINT "rooms_estate_fkey" FOREIGN KEY ("tenant_id","estate_id") REFERENCES "public"."estates"("tenant_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "sessions" ADD CONSTRAINT "sessions_user_fkey" FOREIGN KEY ("tenant_id","user_id") REFERENCES "public"."users"("tenant_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "user_roles" ADD CONSTRAINT "user_roles_user_fkey" FOREIGN KEY ("tenant_id","user_id") REFERENCES "public"."users"("tenant_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "user_roles" ADD CONSTRAINT "user_roles_role_fkey" FOREIGN KEY ("tenant_id","role_id") REFERENCES "public"."roles"("tenant_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "equipment_room_idx" ON "equipment" USING btree ("tenant_id","room_id","id");--> statement-breakpoint
CREATE INDEX "equipment_created_idx" ON "equipment" USING btree ("tenant_id","created_at","id");--> statement-breakpoint
CREATE INDEX "equipment_name_idx" ON "equipment" USING btree ("tenant_id","name","id");--> statement-breakpoint
CREATE UNIQUE INDEX "estates_reference_key" ON "estates" USING btree ("tenant_id","reference");--> statement-breakpoint
CREATE INDEX "estates_place_idx" ON "estates" USING btree ("tenant_id","place_id","id");--> statement-breakpoint
CREATE INDEX "estates_created_idx" ON "estates" USING btree ("tenant_id","created_at","id");--> statement-breakpoint
CREATE INDEX "estates_name_idx" ON "estates" USING btree ("tenant_id","name","id");--> statement-breakpoint
CREATE INDEX "login_attempts_expiry_idx" ON "login_attempts" USING btree ("tenant_id","expires_at");--> statement-breakpoint
CREATE INDEX "places_created_idx" ON "places" USING btree ("tenant_id","created_at","id");--> statement-breakpoint
CREATE INDEX "places_name_idx" ON "places" USING btree ("tenant_id","name","id");--> statement-breakpoint
CREATE UNIQUE INDEX "roles_name_key" ON "roles" USING btree ("tenant_id","name");--> statement-breakpoint
CREATE INDEX "rooms_estate_idx" ON "rooms" USING btree ("tenant_id","estate_id","id");--> statement-breakpoint
CREATE INDEX "rooms_created_idx" ON "rooms" USING btree ("tenant_id","created_at","id");--> statement-breakpoint
CREATE INDEX "rooms_name_idx" ON "rooms" USING btree ("tenant_id","name","id");--> statement-breakpoint
CREATE UNIQUE INDEX "sessions_token_hash_key" ON "sessions" USING btree ("tenant_id","token_hash");--> statement-breakpoint
CREATE INDEX "sessions_family_idx" ON "sessions" USING btree ("tenant_id","family_id");--> statement-breakpoint
CREATE INDEX "sessions_user_idx" ON "sessions" USING btree ("tenant_id","user_id");--> statement-breakpoint
CREATE INDEX "sessions_expiry_idx" ON "sessions" USING btree ("tenant_id","absolute_expires_at");--> statement-breakpoint
CREATE INDEX "user_roles_role_idx" ON "user_roles" USING btree ("tenant_id","role_id");--> statement-breakpoint
CREATE UNIQUE INDEX "users_email_key" ON "users" USING btree ("tenant_id",lower("email"));--> statement-breakpoint
CREATE UNIQUE INDEX "users_username_key" ON "users" USING btree ("tenant_id",lower("username"));--> statement-breakpoint
CREATE UNIQUE INDEX "users_tax_number_key" ON "users" USING btree ("tenant_id","tax_number");