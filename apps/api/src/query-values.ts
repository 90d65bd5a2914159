import * as v from "valibot";

/** Of a query parameter that is on or off. */
export const flag = v.pipe(
  v.string(),
  v.toLowerCase(),
  v.picklist(["true", "1", "false", "0", ""], "Input should be true or false"),
  v.transform((text) => text === "true" || text === "1"),
);
