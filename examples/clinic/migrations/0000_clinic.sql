CREATE TABLE "appointments" (
	"tenant_id" uuid NOT NULL,
	"id" uuid NOT NULL,
	"practitioner_id" uuid NOT NULL,
	"patient_id" uuid NOT NULL,
	"starts_at" timestamp with time zone NOT NULL,
	"ends_at" timestamp with time zone NOT NULL,
	"status" text DEFAULT 'booked' NOT NULL,
	"reminded_at" timestamp with time zone,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "appointments_pkey" PRIMARY KEY("tenant_id","id"),
	CONSTRAINT "appointments_ends_at_check" CHECK ("appointments"."ends_at" > "appointments"."starts_at")
);
--> statement-breakpoint
CREATE TABLE "patients" (
	"tenant_id" uuid NOT NULL,
	"id" uuid NOT NULL,
	"name" text NOT NULL,
	"email" text,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "patients_pkey" PRIMARY KEY("tenant_id","id"),
	CONSTRAINT "patients_email_key" UNIQUE("tenant_id","email")
);
--> statement-breakpoint
CREATE TABLE "practitioners" (
	"tenant_id" uuid NOT NULL,
	"id" uuid NOT NULL,
	"name" text NOT NULL,
	"speciality" text,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "practitioners_pkey" PRIMARY KEY("tenant_id","id")
);
--> statement-breakpoint
ALTER TABLE "appointments" ADD CONSTRAINT "appointments_practitioner_id_fkey" FOREIGN KEY ("tenant_id","practitioner_id") REFERENCES "public"."practitioners"("tenant_id","id") ON DELETE no action ON UPDATE no action;
--> statement-breakpoint
ALTER TABLE "appointments" ADD CONSTRAINT "appointments_patient_id_fkey" FOREIGN KEY ("tenant_id","patient_id") REFERENCES "public"."patients"("tenant_id","id") ON DELETE no action ON UPDATE no action;
--> statement-breakpoint
CREATE INDEX "appointments_practitioner_id_starts_at_idx" ON "appointments" USING btree ("tenant_id","practitioner_id","starts_at");
--> statement-breakpoint
CREATE INDEX "appointments_patient_id_starts_at_idx" ON "appointments" USING btree ("tenant_id","patient_id","starts_at");
--> statement-breakpoint
CREATE INDEX "appointments_starts_at_id_idx" ON "appointments" USING btree ("tenant_id","starts_at","id");
--> statement-breakpoint
CREATE INDEX "patients_created_at_id_idx" ON "patients" USING btree ("tenant_id","created_at","id");
--> statement-breakpoint
CREATE INDEX "practitioners_name_id_idx" ON "practitioners" USING btree ("tenant_id","name","id");
--> statement-breakpoint
CREATE INDEX "practitioners_created_at_id_idx" ON "practitioners" USING btree ("tenant_id","created_at","id");
--> statement-breakpoint
SELECT public.freehold_protect('public.appointments');
--> statement-breakpoint
SELECT public.freehold_protect('public.patients');
--> statement-breakpoint
SELECT public.freehold_protect('public.practitioners');
