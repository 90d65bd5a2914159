import parse from "parse-prometheus-text-format";

export type MetricFamily = {
  name: string;
  help: string;
  type: string;
  metrics: { value?: string; labels?: Record<string, string> }[];
};

/** What Prometheus would read from the text; fails where it would. */
export function readMetrics(text: string): Map<string, MetricFamily> {
  const families = parse(text) as MetricFamily[];
  return new Map(families.map((family) => [family.name, family]));
}
