/**
 * How long from the API's answer 200 to the mail server's DATA, for messages posted one by one: first with nothing else
 * to do, then while ten others a second flow. Real processes, loopback only. About ten minutes, nearly all of them spent
 * waiting for the dispatcher to be idle again:
 *
 *     npm run bench:latency
 *     npm run bench:latency -- --messages 20
 */
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type Service, startService } from "../test/support/service.ts";
import { latenciesOf, plainMessage, tellLatencies } from "./latencies.ts";

const { values: options } = parseArgs({ options: { messages: { type: "string", default: "100" } } });
const MESSAGES = Number(options.messages);
const OTHERS_A_SECOND = 10;
/** For a while after work a dispatcher watches closely; later than that it is idle. */
const IDLE_PAUSE_MS = 6000;
const BUSY_PAUSE_MS = 300;

const service = await startService();
const { smtp } = service;
await latenciesOf({ service, smtp, name: "warm-up", count: 5, pauseMs: 100 });
tellLatencies("idle", await latenciesOf({ service, smtp, name: "idle", count: MESSAGES, pauseMs: IDLE_PAUSE_MS }));
const stop = flow(service);
tellLatencies("busy", await latenciesOf({ service, smtp, name: "busy", count: MESSAGES, pauseMs: BUSY_PAUSE_MS }));
await stop();
await service.stop();

function flow({ api }: Service): () => Promise<void> {
  let stopped = false;
  const flowing = (async () => {
    for (let i = 0; !stopped; i += 1) {
      await Promise.all([api.addMessages(plainMessage(`flow-${i}`)), pause(1000 / OTHERS_A_SECOND)]);
    }
  })();
  return async () => {
    stopped = true;
    await flowing;
  };
}
