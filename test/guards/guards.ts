import type { Guard } from "./guard.ts";
import { ALLOWANCES } from "./rows/allowances.ts";
import { CLAIMS } from "./rows/claims.ts";
import { FETCHING } from "./rows/fetching.ts";
import { INPUT } from "./rows/input.ts";
import { REPORTING } from "./rows/reports.ts";
import { S3 } from "./rows/s3.ts";
import { SENDS } from "./rows/sending.ts";
import { STORAGE } from "./rows/storage.ts";
import { TENANCY } from "./rows/tenants.ts";

/** Every promise that one line keeps: without that line, the test that it names fails (`npm run test:guards`). */
export const GUARDS: readonly Guard[] = [
  ...CLAIMS,
  ...ALLOWANCES,
  ...INPUT,
  ...SENDS,
  ...FETCHING,
  ...S3,
  ...REPORTING,
  ...STORAGE,
  ...TENANCY,
];
