import { type Answer, apiClient } from "../../test/support/api-client.ts";
import type { Measured } from "./service.ts";

/** One of several applications on the service, with a key of its own. */
export type Tenant = {
  id: string;
  /** Posts a body of add-messages; throws unless all of it was queued. */
  post(body: string): Promise<void>;
  addAccount(id: string, port: number): Promise<void>;
};

/** `client`: where its reports go, on a path of their own. */
export async function addTenant({ api, application }: Measured, id: string, client: string): Promise<Tenant> {
  const registered = done(await apiClient(api).post("/tenant", { id, client_base_url: new URL(client).origin }));
  const key: string = registered.body.api_key;
  return {
    id,
    post: (body) => application.post(api, body, key),
    async addAccount(account, port) {
      done(await apiClient(api, key).post("/account", { id: account, host: "127.0.0.1", port, security: "none" }));
    },
  };
}

function done(answer: Answer): Answer {
  if (answer.status !== 200) throw new Error(`the API answered ${answer.status} ${answer.text}`);
  return answer;
}
