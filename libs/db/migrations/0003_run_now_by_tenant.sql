ALTER TABLE `service` DROP COLUMN `run_now`;--> statement-breakpoint
ALTER TABLE `service` DROP COLUMN `reports_waiting`;