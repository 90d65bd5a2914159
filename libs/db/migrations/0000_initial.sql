CREATE TABLE `accounts` (
	`queue` integer PRIMARY KEY NOT NULL,
	`host` text NOT NULL,
	`port` integer NOT NULL,
	`user` text,
	`password` text,
	`use_tls` integer,
	`security` text NOT NULL,
	`ttl_seconds` integer NOT NULL,
	`limit_per_minute` integer,
	`limit_per_hour` integer,
	`limit_per_day` integer,
	`limit_recipients_per_day` integer,
	`limit_behavior` text NOT NULL,
	`max_connections` integer,
	`batch_size` integer,
	`timeout_seconds` integer,
	`tls_ca` text,
	`tls_servername` text,
	`on_ambiguous` text,
	`created_ms` integer NOT NULL,
	`updated_ms` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `clients` (
	`tenant_id` text PRIMARY KEY NOT NULL,
	`last_call_ms` integer,
	`quiet_until_ms` integer,
	`last_run_now` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `connections` (
	`queue` integer NOT NULL,
	`process` integer NOT NULL,
	`reserved` integer NOT NULL,
	PRIMARY KEY(`queue`, `process`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `contents` (
	`message` integer NOT NULL,
	`position` integer NOT NULL,
	`bytes` blob NOT NULL,
	PRIMARY KEY(`message`, `position`)
);
--> statement-breakpoint
CREATE TABLE `history` (
	`message` integer NOT NULL,
	`claim` integer NOT NULL,
	`at_ms` integer NOT NULL,
	`outcome` text NOT NULL,
	`code` integer,
	`response` text,
	`until_ms` integer,
	PRIMARY KEY(`message`, `claim`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `messages` (
	`key` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`tenant_id` text NOT NULL,
	`id` text NOT NULL,
	`account_id` text,
	`queue` integer NOT NULL,
	`priority` integer NOT NULL,
	`message_id` text NOT NULL,
	`bytes` integer NOT NULL,
	`content_bytes` integer NOT NULL,
	`recipient_count` integer NOT NULL,
	`on_ambiguous` text,
	`created_ms` integer NOT NULL,
	`updated_ms` integer NOT NULL,
	`expires_ms` integer,
	`first_due_ms` integer NOT NULL,
	`state` text NOT NULL,
	`due_ms` integer NOT NULL,
	`deferred_ms` integer,
	`deferred_reason` text,
	`claim` integer DEFAULT 0 NOT NULL,
	`process` integer,
	`lost_claims` integer DEFAULT 0 NOT NULL,
	`attempts` integer DEFAULT 0 NOT NULL,
	`first_attempt_ms` integer,
	`recipients` text,
	`smtp_response` text,
	`ended_ms` integer,
	`sent_ms` integer,
	`error_ms` integer,
	`error` text,
	`seq` integer NOT NULL,
	`report_ms` integer,
	`report_tries` integer DEFAULT 0 NOT NULL,
	`reported_classes` integer DEFAULT 0 NOT NULL,
	`reported_ms` integer,
	CONSTRAINT "messages_state" CHECK(state IN ('waiting', 'solo', 'claimed', 'sent', 'error')),
	CONSTRAINT "messages_priority" CHECK(priority BETWEEN 0 AND 3),
	CONSTRAINT "messages_sent" CHECK((state = 'sent') = (sent_ms IS NOT NULL)),
	CONSTRAINT "messages_error" CHECK((state = 'error') = (error_ms IS NOT NULL) AND (error IS NULL) = (error_ms IS NULL)),
	CONSTRAINT "messages_final" CHECK((state IN ('sent', 'error')) = (ended_ms IS NOT NULL)),
	CONSTRAINT "messages_claimed" CHECK((state = 'claimed') = (process IS NOT NULL))
);
--> statement-breakpoint
CREATE UNIQUE INDEX `messages_id` ON `messages` (`tenant_id`,`id`);--> statement-breakpoint
CREATE INDEX `messages_list` ON `messages` (`tenant_id`,`priority`,`key`);--> statement-breakpoint
CREATE INDEX `messages_claim` ON `messages` (`queue`,`priority`,`due_ms`) WHERE state = 'waiting';--> statement-breakpoint
CREATE INDEX `messages_oldest` ON `messages` (`queue`,`due_ms`) WHERE state = 'waiting';--> statement-breakpoint
CREATE INDEX `messages_solo` ON `messages` (`due_ms`) WHERE state = 'solo';--> statement-breakpoint
CREATE INDEX `messages_claimed` ON `messages` (`process`) WHERE state = 'claimed';--> statement-breakpoint
CREATE INDEX `messages_expiring` ON `messages` (`expires_ms`) WHERE state = 'waiting' AND expires_ms IS NOT NULL;--> statement-breakpoint
CREATE INDEX `messages_unreported` ON `messages` (`report_ms`) WHERE report_ms IS NOT NULL;--> statement-breakpoint
CREATE INDEX `messages_final` ON `messages` (`reported_ms`,`ended_ms`) WHERE state IN ('sent', 'error');--> statement-breakpoint
CREATE INDEX `messages_trim` ON `messages` (`key`) WHERE state = 'sent' AND content_bytes > 0;--> statement-breakpoint
CREATE TABLE `payloads` (
	`message` integer PRIMARY KEY NOT NULL,
	`payload` text NOT NULL,
	`recipients` text NOT NULL
);
--> statement-breakpoint
CREATE TABLE `processes` (
	`process` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`kind` text NOT NULL,
	`pid` integer NOT NULL,
	`host` text NOT NULL,
	`version` text NOT NULL,
	`started_ms` integer NOT NULL,
	`seen_ms` integer NOT NULL,
	`beat` integer DEFAULT 0 NOT NULL,
	CONSTRAINT "processes_kind" CHECK(kind IN ('api', 'dispatcher', 'reporter'))
);
--> statement-breakpoint
CREATE TABLE `queues` (
	`key` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`tenant_id` text NOT NULL,
	`account_id` text NOT NULL,
	`ready_ms` integer,
	`immediate_ms` integer,
	`served_ms` integer DEFAULT 0 NOT NULL,
	`claims` integer DEFAULT 0 NOT NULL,
	`in_flight` integer DEFAULT 0 NOT NULL,
	`in_flight_recipients` integer DEFAULT 0 NOT NULL,
	`capacity` integer,
	`next_recipients` integer DEFAULT 1 NOT NULL,
	`limited_reason` text,
	`limited_until_ms` integer,
	`held_by` text,
	`hold_reason` text,
	`held_since_ms` integer,
	`hold_until_ms` integer,
	`hold_failures` integer DEFAULT 0 NOT NULL,
	`sends_total` integer DEFAULT 0 NOT NULL,
	`recipients_total` integer DEFAULT 0 NOT NULL,
	`last_ended_ms` integer DEFAULT 0 NOT NULL,
	`pending` integer DEFAULT 0 NOT NULL,
	`sent` integer DEFAULT 0 NOT NULL,
	`errors` integer DEFAULT 0 NOT NULL,
	`deferred` integer DEFAULT 0 NOT NULL,
	`rate_limited` integer DEFAULT 0 NOT NULL,
	CONSTRAINT "queues_in_flight" CHECK(in_flight >= 0),
	CONSTRAINT "queues_pending" CHECK(pending >= 0)
);
--> statement-breakpoint
CREATE UNIQUE INDEX `queues_account` ON `queues` (`tenant_id`,`account_id`);--> statement-breakpoint
CREATE INDEX `queues_ready` ON `queues` (`ready_ms`) WHERE ready_ms IS NOT NULL;--> statement-breakpoint
CREATE INDEX `queues_immediate` ON `queues` (`immediate_ms`) WHERE immediate_ms IS NOT NULL;--> statement-breakpoint
CREATE INDEX `queues_held` ON `queues` (`key`) WHERE held_by IS NOT NULL;--> statement-breakpoint
CREATE TABLE `rules` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`name` text NOT NULL,
	`enabled` integer NOT NULL,
	`priority` integer NOT NULL,
	`days` text NOT NULL,
	`start_hour` integer NOT NULL,
	`end_hour` integer NOT NULL,
	`cross_midnight` integer NOT NULL,
	`interval_minutes` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `sends` (
	`queue` integer NOT NULL,
	`ended_ms` integer NOT NULL,
	`sends_total` integer NOT NULL,
	`recipients_total` integer NOT NULL,
	PRIMARY KEY(`queue`, `ended_ms`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `service` (
	`id` integer PRIMARY KEY NOT NULL,
	`sandbox` integer NOT NULL,
	`active` integer,
	`rules_seeded` integer NOT NULL,
	`seq` integer NOT NULL,
	`run_now` integer NOT NULL,
	`reports_waiting` integer NOT NULL,
	`urgent_last` integer DEFAULT false NOT NULL,
	`solo_process` integer,
	`boot_id` text NOT NULL,
	`steady_offset_ms` integer NOT NULL,
	`steady_seen_ms` integer NOT NULL,
	CONSTRAINT "service_one" CHECK(id = 1)
);
--> statement-breakpoint
CREATE TABLE `verifications` (
	`key` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`queue` integer NOT NULL,
	`asked_ms` integer NOT NULL,
	`process` integer,
	`ok` integer,
	`answer` text
);
