import type { LoadedConfig } from "./config.ts";
import { type Setting, settingRows } from "./settings.ts";

/** The README's table, in Markdown. */
export function configTable(): string {
  const rows = settingRows().map(({ name, setting }) => {
    return `| ${name} | ${environment(setting)} | ${defaultText(setting)} | ${setting.about} |`;
  });
  return ["| section.key | environment | default | meaning |", "| --- | --- | --- | --- |", ...rows, ""].join("\n");
}

function environment({ env, secret }: Setting<unknown>): string {
  return env.map((name) => (secret ? `${name} or ${name}_FILE` : name)).join(", ");
}

function defaultText(setting: Setting<unknown>): string {
  if (setting.defaultShown !== null) return setting.defaultShown;
  return setting.default ? `\`${setting.default}\`` : "none";
}

/** The text of config.ini.example: every key with its default and its sentence. */
export function configExample(): string {
  const lines = [
    "; Every key, with its default. Copy to config.ini and keep what you change.",
    "; The environment wins over this file. Values with # or ; need quotes.",
  ];
  let current = "";
  for (const { section, key, setting } of settingRows()) {
    if (section !== current) lines.push("", `[${section}]`);
    current = section;
    lines.push(...exampleEntry(key, setting));
  }
  return `${lines.join("\n")}\n`;
}

function exampleEntry(key: string, setting: Setting<unknown>): string[] {
  const derived = setting.defaultShown !== null || !setting.default;
  const meaning = derived ? `${setting.about} Default: ${defaultText(setting)}.` : setting.about;
  const variables = environment(setting);
  const comment = `; ${meaning.replaceAll("`", "")}${variables === "" ? "" : ` (${variables})`}`;
  return [comment, derived ? `;${key} =` : `${key} = ${setting.default}`];
}

/** What `--check` prints: the configuration in force and where each value comes from. */
export function checkText({ file, effective, warnings }: LoadedConfig): string {
  const lines = [`; ${file ?? "no config file"}, and the environment`];
  let current = "";
  for (const { section, key, shown, origin } of effective) {
    if (section !== current) lines.push("", `[${section}]`);
    current = section;
    lines.push(`${`${key} = ${shown}`.padEnd(60)} ; ${origin}`);
  }
  return `${[...lines, "", ...warnings.map((warning) => `; warning: ${warning}`), "; no faults"].join("\n")}\n`;
}
