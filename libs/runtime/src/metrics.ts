import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

export type Metrics = ReturnType<typeof createMetrics>;

/** A registry of this process's own metrics, named without the prefix that is added here, and of Node's. */
export function createMetrics({ process: kind, version }: { process: string; version: string }) {
  const registry = new Registry();
  const registers = [registry];
  // Its default watches the event loop every 10 ms, which alone costs an idle process 0.4 % of a core.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 500 });

  const metrics = {
    registry,
    counter<L extends string = never>(name: string, help: string, labels: readonly L[] = []): Counter<L> {
      return new Counter({ name: prefixed(name), help, labelNames: labels, registers });
    },
    /** A count that is kept elsewhere, read when it is asked for. */
    observedCounter(name: string, help: string, read: () => number): void {
      const observed = new Counter({
        name: prefixed(name),
        help,
        registers,
        collect() {
          this.reset();
          this.inc(read());
        },
      });
      observed.inc(0);
    },
    /** What a process loses to others that write to the same file. */
    showBusy(busy: () => { retries: number; ms: number }): void {
      const { observedCounter } = metrics;
      observedCounter("busy_retries_total", "Times a transaction tried for the lock in vain.", () => busy().retries);
      observedCounter(
        "busy_wait_seconds_total",
        "Time that transactions waited for others', each by itself.",
        () => busy().ms / 1000,
      );
    },
    gauge<L extends string = never>(name: string, help: string, labels: readonly L[] = []): Gauge<L> {
      return new Gauge({ name: prefixed(name), help, labelNames: labels, registers });
    },
    histogram<L extends string = never>(
      name: string,
      help: string,
      buckets: number[],
      labels: readonly L[] = [],
    ): Histogram<L> {
      return new Histogram({ name: prefixed(name), help, buckets, labelNames: labels, registers });
    },
  };
  metrics
    .gauge("build_info", "Always 1; its labels say what is running", ["process", "version", "node"])
    .set({ process: kind, version, node: process.version }, 1);
  return metrics;
}

function prefixed(name: string): string {
  return `asyncmail_${name}`;
}
