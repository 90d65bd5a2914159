declare module "s3rver" {
  import type { RequestListener } from "node:http";

  type Options = { directory: string; silent: boolean; vhostBuckets: boolean };

  export default class S3rver {
    constructor(options: Options);
    store: { putBucket(name: string): Promise<unknown> };
    logger: { exceptions: { unhandle(): void }; close(): void };
    callback(): RequestListener;
  }
}
