import type { Busy } from "@async-mail/db/store";
import type { Metrics } from "@async-mail/runtime/metrics";

export type ReporterMetrics = ReturnType<typeof reporterMetrics>;

const CALL_SECONDS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];
/** A report is expected within a second; a client may be down for days. */
const AGE_SECONDS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 300, 1800, 7200, 43_200, 172_800];

/** What waits and how old the oldest is, the api tells: facts of the file are exported once. */
export function reporterMetrics(metrics: Metrics, busy: () => Busy) {
  metrics.showBusy(busy);
  return {
    posted: metrics.counter("reports_posted_total", "Reports acknowledged by the client."),
    failed: metrics.counter("reports_failed_total", "Reports in calls that the client did not acknowledge."),
    setAside: metrics.counter(
      "reports_set_aside_total",
      "Reports that failed alone and wait for a back-off of their own.",
    ),
    givenUp: metrics.counter(
      "reports_given_up_total",
      "Reports older than sync.report_max_age_seconds, never acknowledged.",
    ),
    calls: metrics.histogram("report_call_seconds", "Calls to the client, polls too.", CALL_SECONDS, ["outcome"]),
    age: metrics.histogram("report_age_seconds", "Age of a state when the client acknowledged it.", AGE_SECONDS),
    purged: metrics.counter("purged_total", "Messages deleted after the retention."),
    leading: metrics.gauge("reporter_leading", "1 while this reporter works, 0 while it stands by."),
  };
}
