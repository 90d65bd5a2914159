ALTER TABLE `queues` ADD `probe` integer;--> statement-breakpoint
ALTER TABLE `queues` ADD `slowed_reason` text;--> statement-breakpoint
ALTER TABLE `queues` ADD `slowed_gap_ms` integer;--> statement-breakpoint
ALTER TABLE `queues` ADD `slowed_connections` integer;--> statement-breakpoint
ALTER TABLE `queues` ADD `slowed_since_ms` integer;