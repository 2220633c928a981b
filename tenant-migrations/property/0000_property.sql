-- freehold: former 0000_tenant 22b6d5c71ccb7a3856a895f18952f4a1be6937136a69a588475dd8761b14bf14
-- freehold: former 0001_isolation 71ddcf4b0e4faf4bc9275dc12c08d9adfcc41575d4040b2efa09a96d98246bde
-- freehold: former 0002_reference-application dd0b8d8e159f523cc8ab419e157b5247a0108979811724617c63b1553f300259
-- freehold: former 0003_reference-rules 0df419e6721d370932cf29fa2dc987292c2ef501a02a3d09ac3960b50ac81049
CREATE TABLE "charges" (
	"tenant_id" uuid NOT NULL,
	"id" uuid NOT NULL,
	"lease_id" uuid NOT NULL,
	"label" text NOT NULL,
	"amount_cents" bigint NOT NULL,
	"currency" text NOT NULL,
	"due_on" date NOT NULL,
	"status" text DEFAULT 'due' NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "charges_pkey" PRIMARY KEY("tenant_id","id"),
	CONSTRAINT "charges_currency_check" CHECK ("charges"."currency" ~ '^[A-Z]{3}$'),
	CONSTRAINT "charges_status_check" CHECK ("charges"."status" in ('due', 'paid', 'cancelled'))
);
--> statement-breakpoint
CREATE TABLE "contacts" (
	"tenant_id" uuid NOT NULL,
	"id" uuid NOT NULL,
	"name" text NOT NULL,
	"email" text,
	"email_folded" text GENERATED ALWAYS AS (lower(email)) STORED,
	"phone" text,
	"role" text,
	"lessee_id" uuid,
	"owner_id" uuid,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "contacts_pkey" PRIMARY KEY("tenant_id","id")
);
--> statement-breakpoint
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
CREATE TABLE "lease_lessees" (
	"tenant_id" uuid NOT NULL,
	"lease_id" uuid NOT NULL,
	"lessee_id" uuid NOT NULL,
	CONSTRAINT "lease_lessees_pkey" PRIMARY KEY("tenant_id","lease_id","lessee_id")
);
--> statement-breakpoint
CREATE TABLE "leases" (
	"tenant_id" uuid NOT NULL,
	"id" uuid NOT NULL,
	"estate_id" uuid NOT NULL,
	"lessee_ids" uuid[] NOT NULL,
	"starts_on" date NOT NULL,
	"ends_on" date,
	"rent_cents" bigint NOT NULL,
	"currency" text NOT NULL,
	"deposit_cents" bigint,
	"status" text DEFAULT 'draft' NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "leases_pkey" PRIMARY KEY("tenant_id","id"),
	CONSTRAINT "leases_lessees_check" CHECK (cardinality("leases"."lessee_ids") between 1 and 20),
	CONSTRAINT "leases_days_check" CHECK ("leases"."ends_on" >= "leases"."starts_on"),
	CONSTRAINT "leases_rent_check" CHECK ("leases"."rent_cents" >= 0),
	CONSTRAINT "leases_deposit_check" CHECK ("leases"."deposit_cents" >= 0),
	CONSTRAINT "leases_currency_check" CHECK ("leases"."currency" ~ '^[A-Z]{3}$'),
	CONSTRAINT "leases_status_check" CHECK ("leases"."status" in ('draft', 'active', 'ended'))
);
--> statement-breakpoint
CREATE TABLE "lessees" (
	"tenant_id" uuid NOT NULL,
	"id" uuid NOT NULL,
	"kind" text NOT NULL,
	"name" text NOT NULL,
	"email" text,
	"email_folded" text GENERATED ALWAYS AS (lower(email)) STORED,
	"phone" text,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "lessees_pkey" PRIMARY KEY("tenant_id","id"),
	CONSTRAINT "lessees_kind_check" CHECK ("lessees"."kind" in ('person', 'company'))
);
--> statement-breakpoint
CREATE TABLE "owners" (
	"tenant_id" uuid NOT NULL,
	"id" uuid NOT NULL,
	"kind" text NOT NULL,
	"name" text NOT NULL,
	"email" text,
	"email_folded" text GENERATED ALWAYS AS (lower(email)) STORED,
	"phone" text,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "owners_pkey" PRIMARY KEY("tenant_id","id"),
	CONSTRAINT "owners_kind_check" CHECK ("owners"."kind" in ('person', 'company'))
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
CREATE TABLE "credit_balances" (
	"tenant_id" uuid NOT NULL,
	"balance" bigint NOT NULL,
	CONSTRAINT "credit_balances_pkey" PRIMARY KEY("tenant_id"),
	CONSTRAINT "credit_balances_balance_check" CHECK ("credit_balances"."balance" >= 0)
);
--> statement-breakpoint
CREATE TABLE "credits" (
	"tenant_id" uuid NOT NULL,
	"id" uuid NOT NULL,
	"amount" integer NOT NULL,
	"payment_reference" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "credits_pkey" PRIMARY KEY("tenant_id","id"),
	CONSTRAINT "credits_amount_check" CHECK ("credits"."amount" <> 0)
);
--> statement-breakpoint
CREATE TABLE "document_files" (
	"tenant_id" uuid NOT NULL,
	"document_id" uuid NOT NULL,
	"bytes" "bytea" NOT NULL,
	"sha256" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "document_files_pkey" PRIMARY KEY("tenant_id","document_id"),
	CONSTRAINT "document_files_sha256_check" CHECK ("document_files"."sha256" = encode(sha256("document_files"."bytes"), 'hex'))
);
--> statement-breakpoint
CREATE TABLE "documents" (
	"tenant_id" uuid NOT NULL,
	"id" uuid NOT NULL,
	"lease_id" uuid NOT NULL,
	"title" text NOT NULL,
	"terms" jsonb,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "documents_pkey" PRIMARY KEY("tenant_id","id")
);
--> statement-breakpoint
CREATE TABLE "media" (
	"tenant_id" uuid NOT NULL,
	"id" uuid NOT NULL,
	"filename" text NOT NULL,
	"content_type" text NOT NULL,
	"size_bytes" integer NOT NULL,
	"sha256" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "media_pkey" PRIMARY KEY("tenant_id","id"),
	CONSTRAINT "media_sha256_check" CHECK ("media"."sha256" ~ '^[0-9a-f]{64}$')
);
--> statement-breakpoint
CREATE TABLE "media_chunks" (
	"tenant_id" uuid NOT NULL,
	"media_id" uuid NOT NULL,
	"number" integer NOT NULL,
	"bytes" "bytea" NOT NULL,
	CONSTRAINT "media_chunks_pkey" PRIMARY KEY("tenant_id","media_id","number")
);
--> statement-breakpoint
CREATE TABLE "payments" (
	"tenant_id" uuid NOT NULL,
	"id" uuid NOT NULL,
	"credit_id" uuid NOT NULL,
	"amount" integer NOT NULL,
	"payment_reference" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "payments_pkey" PRIMARY KEY("tenant_id","id")
);
--> statement-breakpoint
CREATE TABLE "proofs" (
	"tenant_id" uuid NOT NULL,
	"id" uuid NOT NULL,
	"number" integer NOT NULL,
	"signature_id" uuid NOT NULL,
	"document_id" uuid NOT NULL,
	"document_sha256" text NOT NULL,
	"signer_name" text NOT NULL,
	"signer_email" text NOT NULL,
	"signed_at" timestamp with time zone NOT NULL,
	"address" text,
	"previous_hash" text,
	"hash" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "proofs_pkey" PRIMARY KEY("tenant_id","id"),
	CONSTRAINT "proofs_sha256_check" CHECK ("proofs"."document_sha256" ~ '^[0-9a-f]{64}$'),
	CONSTRAINT "proofs_hash_check" CHECK ("proofs"."hash" ~ '^[0-9a-f]{64}$')
);
--> statement-breakpoint
CREATE TABLE "signatures" (
	"tenant_id" uuid NOT NULL,
	"id" uuid NOT NULL,
	"document_id" uuid NOT NULL,
	"signer_name" text NOT NULL,
	"signer_email" text NOT NULL,
	"signer_email_folded" text GENERATED ALWAYS AS (lower(signer_email)) STORED,
	"status" text DEFAULT 'pending' NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "signatures_pkey" PRIMARY KEY("tenant_id","id"),
	CONSTRAINT "signatures_status_check" CHECK ("signatures"."status" in ('pending', 'signed', 'declined'))
);
--> statement-breakpoint
ALTER TABLE "charges" ADD CONSTRAINT "charges_lease_fkey" FOREIGN KEY ("tenant_id","lease_id") REFERENCES "public"."leases"("tenant_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "contacts" ADD CONSTRAINT "contacts_lessee_fkey" FOREIGN KEY ("tenant_id","lessee_id") REFERENCES "public"."lessees"("tenant_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "contacts" ADD CONSTRAINT "contacts_owner_fkey" FOREIGN KEY ("tenant_id","owner_id") REFERENCES "public"."owners"("tenant_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "equipment" ADD CONSTRAINT "equipment_room_fkey" FOREIGN KEY ("tenant_id","room_id") REFERENCES "public"."rooms"("tenant_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "estates" ADD CONSTRAINT "estates_place_fkey" FOREIGN KEY ("tenant_id","place_id") REFERENCES "public"."places"("tenant_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "lease_lessees" ADD CONSTRAINT "lease_lessees_lease_fkey" FOREIGN KEY ("tenant_id","lease_id") REFERENCES "public"."leases"("tenant_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "lease_lessees" ADD CONSTRAINT "lease_lessees_lessee_fkey" FOREIGN KEY ("tenant_id","lessee_id") REFERENCES "public"."lessees"("tenant_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "leases" ADD CONSTRAINT "leases_estate_fkey" FOREIGN KEY ("tenant_id","estate_id") REFERENCES "public"."estates"("tenant_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "rooms" ADD CONSTRAINT "rooms_estate_fkey" FOREIGN KEY ("tenant_id","estate_id") REFERENCES "public"."estates"("tenant_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "document_files" ADD CONSTRAINT "document_files_document_fkey" FOREIGN KEY ("tenant_id","document_id") REFERENCES "public"."documents"("tenant_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "documents" ADD CONSTRAINT "documents_lease_fkey" FOREIGN KEY ("tenant_id","lease_id") REFERENCES "public"."leases"("tenant_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "media_chunks" ADD CONSTRAINT "media_chunks_media_fkey" FOREIGN KEY ("tenant_id","media_id") REFERENCES "public"."media"("tenant_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "payments" ADD CONSTRAINT "payments_credit_fkey" FOREIGN KEY ("tenant_id","credit_id") REFERENCES "public"."credits"("tenant_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "proofs" ADD CONSTRAINT "proofs_signature_fkey" FOREIGN KEY ("tenant_id","signature_id") REFERENCES "public"."signatures"("tenant_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "signatures" ADD CONSTRAINT "signatures_document_fkey" FOREIGN KEY ("tenant_id","document_id") REFERENCES "public"."documents"("tenant_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "charges_lease_idx" ON "charges" USING btree ("tenant_id","lease_id","created_at","id");--> statement-breakpoint
CREATE INDEX "charges_status_idx" ON "charges" USING btree ("tenant_id","status","created_at","id");--> statement-breakpoint
CREATE INDEX "charges_status_due_idx" ON "charges" USING btree ("tenant_id","status","due_on","id");--> statement-breakpoint
CREATE INDEX "charges_created_idx" ON "charges" USING btree ("tenant_id","created_at","id");--> statement-breakpoint
CREATE INDEX "charges_due_idx" ON "charges" USING btree ("tenant_id","due_on","id");--> statement-breakpoint
CREATE INDEX "contacts_lessee_idx" ON "contacts" USING btree ("tenant_id","lessee_id","created_at","id");--> statement-breakpoint
CREATE INDEX "contacts_owner_idx" ON "contacts" USING btree ("tenant_id","owner_id","created_at","id");--> statement-breakpoint
CREATE INDEX "contacts_created_idx" ON "contacts" USING btree ("tenant_id","created_at","id");--> statement-breakpoint
CREATE INDEX "contacts_name_idx" ON "contacts" USING btree ("tenant_id","name","id");--> statement-breakpoint
CREATE INDEX "contacts_email_idx" ON "contacts" USING btree ("tenant_id","email_folded","created_at","id");--> statement-breakpoint
CREATE INDEX "equipment_room_idx" ON "equipment" USING btree ("tenant_id","room_id","id");--> statement-breakpoint
CREATE INDEX "equipment_created_idx" ON "equipment" USING btree ("tenant_id","created_at","id");--> statement-breakpoint
CREATE INDEX "equipment_name_idx" ON "equipment" USING btree ("tenant_id","name","id");--> statement-breakpoint
CREATE INDEX "equipment_condition_idx" ON "equipment" USING btree ("tenant_id","condition","created_at","id");--> statement-breakpoint
CREATE INDEX "equipment_condition_name_idx" ON "equipment" USING btree ("tenant_id","condition","name","id");--> statement-breakpoint
CREATE UNIQUE INDEX "estates_reference_key" ON "estates" USING btree ("tenant_id","reference");--> statement-breakpoint
CREATE INDEX "estates_place_idx" ON "estates" USING btree ("tenant_id","place_id","id");--> statement-breakpoint
CREATE INDEX "estates_created_idx" ON "estates" USING btree ("tenant_id","created_at","id");--> statement-breakpoint
CREATE INDEX "estates_name_idx" ON "estates" USING btree ("tenant_id","name","id");--> statement-breakpoint
CREATE INDEX "lease_lessees_lessee_idx" ON "lease_lessees" USING btree ("tenant_id","lessee_id");--> statement-breakpoint
CREATE INDEX "leases_estate_idx" ON "leases" USING btree ("tenant_id","estate_id","created_at","id");--> statement-breakpoint
CREATE INDEX "leases_status_idx" ON "leases" USING btree ("tenant_id","status","created_at","id");--> statement-breakpoint
CREATE INDEX "leases_status_starts_idx" ON "leases" USING btree ("tenant_id","status","starts_on","id");--> statement-breakpoint
CREATE INDEX "leases_created_idx" ON "leases" USING btree ("tenant_id","created_at","id");--> statement-breakpoint
CREATE INDEX "leases_starts_idx" ON "leases" USING btree ("tenant_id","starts_on","id");--> statement-breakpoint
CREATE UNIQUE INDEX "lessees_email_key" ON "lessees" USING btree ("tenant_id","email_folded");--> statement-breakpoint
CREATE INDEX "lessees_created_idx" ON "lessees" USING btree ("tenant_id","created_at","id");--> statement-breakpoint
CREATE INDEX "lessees_name_idx" ON "lessees" USING btree ("tenant_id","name","id");--> statement-breakpoint
CREATE INDEX "lessees_kind_idx" ON "lessees" USING btree ("tenant_id","kind","created_at","id");--> statement-breakpoint
CREATE INDEX "lessees_kind_name_idx" ON "lessees" USING btree ("tenant_id","kind","name","id");--> statement-breakpoint
CREATE UNIQUE INDEX "owners_email_key" ON "owners" USING btree ("tenant_id","email_folded");--> statement-breakpoint
CREATE INDEX "owners_created_idx" ON "owners" USING btree ("tenant_id","created_at","id");--> statement-breakpoint
CREATE INDEX "owners_name_idx" ON "owners" USING btree ("tenant_id","name","id");--> statement-breakpoint
CREATE INDEX "owners_kind_idx" ON "owners" USING btree ("tenant_id","kind","created_at","id");--> statement-breakpoint
CREATE INDEX "owners_kind_name_idx" ON "owners" USING btree ("tenant_id","kind","name","id");--> statement-breakpoint
CREATE INDEX "places_created_idx" ON "places" USING btree ("tenant_id","created_at","id");--> statement-breakpoint
CREATE INDEX "places_name_idx" ON "places" USING btree ("tenant_id","name","id");--> statement-breakpoint
CREATE INDEX "places_kind_idx" ON "places" USING btree ("tenant_id","kind","created_at","id");--> statement-breakpoint
CREATE INDEX "places_kind_name_idx" ON "places" USING btree ("tenant_id","kind","name","id");--> statement-breakpoint
CREATE INDEX "rooms_estate_idx" ON "rooms" USING btree ("tenant_id","estate_id","id");--> statement-breakpoint
CREATE INDEX "rooms_created_idx" ON "rooms" USING btree ("tenant_id","created_at","id");--> statement-breakpoint
CREATE INDEX "rooms_name_idx" ON "rooms" USING btree ("tenant_id","name","id");--> statement-breakpoint
CREATE UNIQUE INDEX "credits_purchase_key" ON "credits" USING btree ("tenant_id","payment_reference") WHERE "credits"."amount" > 0;--> statement-breakpoint
CREATE INDEX "credits_created_idx" ON "credits" USING btree ("tenant_id","created_at","id");--> statement-breakpoint
CREATE INDEX "credits_reference_idx" ON "credits" USING btree ("tenant_id","payment_reference","created_at","id");--> statement-breakpoint
CREATE INDEX "documents_lease_idx" ON "documents" USING btree ("tenant_id","lease_id","created_at","id");--> statement-breakpoint
CREATE INDEX "documents_created_idx" ON "documents" USING btree ("tenant_id","created_at","id");--> statement-breakpoint
CREATE INDEX "documents_title_idx" ON "documents" USING btree ("tenant_id","title","id");--> statement-breakpoint
CREATE INDEX "media_created_idx" ON "media" USING btree ("tenant_id","created_at","id");--> statement-breakpoint
CREATE INDEX "media_filename_idx" ON "media" USING btree ("tenant_id","filename","id");--> statement-breakpoint
CREATE UNIQUE INDEX "payments_credit_key" ON "payments" USING btree ("tenant_id","credit_id");--> statement-breakpoint
CREATE INDEX "payments_reference_idx" ON "payments" USING btree ("tenant_id","payment_reference","created_at","id");--> statement-breakpoint
CREATE INDEX "payments_created_idx" ON "payments" USING btree ("tenant_id","created_at","id");--> statement-breakpoint
CREATE UNIQUE INDEX "proofs_number_key" ON "proofs" USING btree ("tenant_id","number");--> statement-breakpoint
CREATE UNIQUE INDEX "proofs_signature_key" ON "proofs" USING btree ("tenant_id","signature_id");--> statement-breakpoint
CREATE INDEX "proofs_document_idx" ON "proofs" USING btree ("tenant_id","document_id","created_at","id");--> statement-breakpoint
CREATE INDEX "proofs_created_idx" ON "proofs" USING btree ("tenant_id","created_at","id");--> statement-breakpoint
CREATE INDEX "signatures_document_idx" ON "signatures" USING btree ("tenant_id","document_id","created_at","id");--> statement-breakpoint
CREATE INDEX "signatures_status_idx" ON "signatures" USING btree ("tenant_id","status","created_at","id");--> statement-breakpoint
CREATE INDEX "signatures_created_idx" ON "signatures" USING btree ("tenant_id","created_at","id");--> statement-breakpoint
CREATE INDEX "signatures_email_idx" ON "signatures" USING btree ("tenant_id","signer_email_folded","created_at","id");