/** A polling rule, contract §3.6. Hours are of the configured time zone; `days` 0 is Monday. */
export type Rule = {
  id: number;
  name: string;
  enabled: boolean;
  /** Position; the first that matches wins. */
  priority: number;
  days: number[];
  startHour: number;
  endHour: number;
  crossMidnight: boolean;
  intervalMinutes: number;
};
