CREATE TABLE `former_tenants` (
	`tenant` text PRIMARY KEY NOT NULL
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `suspensions` (
	`tenant_id` text NOT NULL,
	`batch_code` text NOT NULL,
	`by` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `batch_code`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `tenants` (
	`key` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`tenant` text NOT NULL,
	`id` text NOT NULL,
	`name` text,
	`client_base_url` text,
	`client_sync_path` text DEFAULT '/proxy_sync' NOT NULL,
	`client_attachment_path` text DEFAULT '/proxy_get_attachments' NOT NULL,
	`client_auth_method` text DEFAULT 'none' NOT NULL,
	`client_user` text,
	`client_secret` text,
	`active` integer DEFAULT true NOT NULL,
	`limit_per_minute` integer,
	`limit_per_hour` integer,
	`limit_per_day` integer,
	`limit_recipients_per_day` integer,
	`s3_prefixes` text DEFAULT '[]' NOT NULL,
	`key_hash` text,
	`created_ms` integer NOT NULL,
	`updated_ms` integer NOT NULL,
	`deleted_ms` integer,
	`suspended_by` integer DEFAULT 0 NOT NULL,
	`suspensions` integer DEFAULT 0 NOT NULL,
	`ready_ms` integer,
	`immediate_ms` integer,
	`served_ms` integer DEFAULT 0 NOT NULL,
	`in_flight` integer DEFAULT 0 NOT NULL,
	`in_flight_recipients` integer DEFAULT 0 NOT NULL,
	`next_recipients` integer DEFAULT 1 NOT NULL,
	`limited_reason` text,
	`limited_until_ms` integer,
	`sends_total` integer DEFAULT 0 NOT NULL,
	`recipients_total` integer DEFAULT 0 NOT NULL,
	`last_ended_ms` integer DEFAULT 0 NOT NULL,
	`run_now` integer DEFAULT 0 NOT NULL,
	`reports_waiting` integer DEFAULT 0 NOT NULL,
	CONSTRAINT "tenants_in_flight" CHECK(in_flight >= 0)
);
--> statement-breakpoint
CREATE UNIQUE INDEX `tenants_tenant` ON `tenants` (`tenant`);--> statement-breakpoint
CREATE UNIQUE INDEX `tenants_id` ON `tenants` (`id`) WHERE deleted_ms IS NULL;--> statement-breakpoint
CREATE UNIQUE INDEX `tenants_key_hash` ON `tenants` (`key_hash`) WHERE key_hash IS NOT NULL;--> statement-breakpoint
CREATE INDEX `tenants_ready` ON `tenants` (`ready_ms`) WHERE ready_ms IS NOT NULL;--> statement-breakpoint
CREATE INDEX `tenants_immediate` ON `tenants` (`immediate_ms`) WHERE immediate_ms IS NOT NULL;--> statement-breakpoint
DROP INDEX `messages_claim`;--> statement-breakpoint
DROP INDEX `messages_oldest`;--> statement-breakpoint
DROP INDEX `messages_solo`;--> statement-breakpoint
DROP INDEX `messages_unreported`;--> statement-breakpoint
DROP INDEX `messages_final`;--> statement-breakpoint
ALTER TABLE `messages` ADD `batch_code` text;--> statement-breakpoint
ALTER TABLE `messages` ADD `suspended` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
CREATE INDEX `messages_batch` ON `messages` (`tenant_id`,`batch_code`,`suspended`) WHERE batch_code IS NOT NULL AND ended_ms IS NULL;--> statement-breakpoint
CREATE INDEX `messages_suspended` ON `messages` (`queue`) WHERE suspended = 1;--> statement-breakpoint
CREATE INDEX `messages_claim` ON `messages` (`queue`,`priority`,`due_ms`) WHERE state = 'waiting' AND suspended = 0;--> statement-breakpoint
CREATE INDEX `messages_oldest` ON `messages` (`queue`,`due_ms`) WHERE state = 'waiting' AND suspended = 0;--> statement-breakpoint
CREATE INDEX `messages_solo` ON `messages` (`due_ms`) WHERE state = 'solo' AND suspended = 0;--> statement-breakpoint
CREATE INDEX `messages_unreported` ON `messages` (`tenant_id`,`report_ms`) WHERE report_ms IS NOT NULL;--> statement-breakpoint
CREATE INDEX `messages_final` ON `messages` (`tenant_id`,`reported_ms`,`ended_ms`) WHERE state IN ('sent', 'error');--> statement-breakpoint
DROP INDEX `queues_ready`;--> statement-breakpoint
DROP INDEX `queues_immediate`;--> statement-breakpoint
CREATE INDEX `queues_ready` ON `queues` (`tenant_id`,`ready_ms`) WHERE ready_ms IS NOT NULL;--> statement-breakpoint
CREATE INDEX `queues_immediate` ON `queues` (`tenant_id`,`immediate_ms`) WHERE immediate_ms IS NOT NULL;--> statement-breakpoint
ALTER TABLE `clients` ADD `called_ms` integer;--> statement-breakpoint
ALTER TABLE `clients` ADD `outcome` text;--> statement-breakpoint
ALTER TABLE `clients` ADD `next_call_ms` integer;--> statement-breakpoint
ALTER TABLE `service` ADD `seal_key` text;--> statement-breakpoint
ALTER TABLE `service` ADD `scrub` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
INSERT INTO `tenants` (`tenant`, `id`, `created_ms`, `updated_ms`, `ready_ms`, `immediate_ms`, `in_flight`, `in_flight_recipients`, `run_now`, `reports_waiting`)
SELECT 'default', 'default', unixepoch() * 1000, unixepoch() * 1000, min(ready_ms), min(immediate_ms), coalesce(sum(in_flight), 0), coalesce(sum(in_flight_recipients), 0),
	coalesce((SELECT run_now FROM `service`), 0), coalesce((SELECT reports_waiting FROM `service`), 0)
FROM `queues` WHERE tenant_id = 'default';
