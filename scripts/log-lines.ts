const COLUMN = "dispatcher".length;

/** What is shown of the processes' output: on a terminal readable and with their names, elsewhere line by line as it is. */
export function printer(out: NodeJS.WriteStream): (kind: string, line: string) => void {
  if (!out.isTTY) return (_kind, line) => void out.write(`${line}\n`);
  return (kind, line) => void out.write(`${kind.padEnd(COLUMN)} ${readable(line)}\n`);
}

/** A JSON log line as a person reads it; anything else as it is. */
export function readable(line: string): string {
  const fields = parsed(line);
  if (fields === null) return line;
  const { time, level, process: _process, pid: _pid, event, msg, stack, ...rest } = fields;
  const details = Object.entries(rest).map(([name, value]) => `${name}=${shown(value)}`);
  const text = [clockTime(time), String(level).toUpperCase().padEnd(5), msg ?? event, ...details].join(" ");
  return stack === undefined ? text : `${text}\n${stack}`;
}

/** Whether it tells of something that an operator should look at: a warning, an error, or text that is no log line. */
export function isTrouble(line: string): boolean {
  const fields = parsed(line);
  return fields === null ? line.trim() !== "" : ["warn", "error", "fatal"].includes(String(fields.level));
}

export function parsed(line: string): Record<string, unknown> | null {
  if (!line.startsWith("{")) return null;
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}

function shown(value: unknown): string {
  return typeof value === "string" && !/[\s"]/.test(value) ? value : JSON.stringify(value);
}

function clockTime(time: unknown): string {
  const at = new Date(time as string | number);
  return Number.isNaN(at.getTime()) ? "" : at.toTimeString().slice(0, 8);
}
