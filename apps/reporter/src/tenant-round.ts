/** Works off at most `rows` rows of one tenant; answers how many there were. */
type Work<House, Tenant> = (house: House, tenant: Tenant, rows: number) => Promise<number>;

/** A look that finds nothing costs some 10 µs, so a step takes several tenants; with rows to work off, fewer. */
const TENANTS_OF_STEP = 50;

/**
 * Goes round all tenants, a small step at a time: each gets at most the rows of one step in a round, so that one with
 * much to do keeps no other waiting. A step answers whether there is more to do right away.
 */
export function tenantRound<House, Tenant>(
  rowsOfStep: number,
  all: (house: House) => Promise<Tenant[]>,
  work: Work<House, Tenant>,
): (house: House) => Promise<boolean> {
  let left: Tenant[] = [];
  let anotherRound = false;

  return async (house) => {
    if (left.length === 0) {
      left = await all(house);
      anotherRound = false;
    }
    let rows = rowsOfStep;
    for (let seen = 0; seen < TENANTS_OF_STEP && rows > 0; seen++) {
      // Taken first: one whose rows cannot be read must not end the round for all.
      const tenant = left.shift();
      if (tenant === undefined) break;
      rows -= await work(house, tenant, rows);
      if (rows <= 0) anotherRound = true;
    }
    return left.length > 0 || anotherRound;
  };
}
