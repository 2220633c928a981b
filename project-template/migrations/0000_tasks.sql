CREATE TABLE "tasks" (
	"tenant_id" uuid NOT NULL,
	"id" uuid NOT NULL,
	"title" text NOT NULL,
	"status" text DEFAULT 'open' NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "tasks_pkey" PRIMARY KEY("tenant_id","id")
);
--> statement-breakpoint
CREATE INDEX "tasks_created_at_id_idx" ON "tasks" USING btree ("tenant_id","created_at","id");
--> statement-breakpoint
CREATE INDEX "tasks_status_created_at_id_idx" ON "tasks" USING btree ("tenant_id","status","created_at","id");
--> statement-breakpoint
SELECT public.freehold_protect('public.tasks');
