/** `npm run docs`: writes what follows from the settings: the table in README.md, and config.ini.example. */
import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { configExample, configTable } from "@async-mail/runtime/config-text";
import { withConfigTable } from "./readme-table.ts";

const at = (name: string) => resolve(import.meta.dirname, "..", name);

writeFileSync(at("config.ini.example"), configExample());
writeFileSync(at("README.md"), withConfigTable(readFileSync(at("README.md"), "utf8"), configTable()));
