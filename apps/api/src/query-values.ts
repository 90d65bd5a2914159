import * as v from "valibot";

/** Of a query parameter that is on or off. */
export const flag = v.pipe(
  v.picklist(["true", "1", "false", "0"]),
  v.transform((text) => text === "true" || text === "1"),
);
