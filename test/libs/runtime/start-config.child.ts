import { startConfig } from "@async-mail/runtime/config";

const config = startConfig("api");
console.log(`went on with port ${config.server.port}`);
