CREATE TABLE "regions" (
	"code" text PRIMARY KEY NOT NULL,
	"name" text NOT NULL
);
--> statement-breakpoint
INSERT INTO "regions" ("code", "name") VALUES ('north', 'The North'), ('south', 'The South');
--> statement-breakpoint
CREATE TABLE "rooms" (
	"tenant_id" uuid NOT NULL,
	"id" uuid NOT NULL,
	"name" text NOT NULL,
	"seats" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "rooms_pkey" PRIMARY KEY("tenant_id","id"),
	CONSTRAINT "rooms_name_key" UNIQUE("tenant_id","name"),
	CONSTRAINT "rooms_seats_check" CHECK ("rooms"."seats" > 0)
);
--> statement-breakpoint
CREATE TABLE "bookings" (
	"tenant_id" uuid NOT NULL,
	"id" uuid NOT NULL,
	"room_id" uuid NOT NULL,
	"slot" text NOT NULL,
	"note" text,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "bookings_pkey" PRIMARY KEY("tenant_id","id"),
	CONSTRAINT "bookings_room_id_slot_key" UNIQUE("tenant_id","room_id","slot"),
	CONSTRAINT "bookings_room_id_fkey" FOREIGN KEY ("tenant_id","room_id") REFERENCES "public"."rooms"("tenant_id","id")
);
--> statement-breakpoint
SELECT public.freehold_protect('public.rooms');
--> statement-breakpoint
SELECT public.freehold_protect('public.bookings');
--> statement-breakpoint
SELECT public.freehold_share('public.regions');
