import { both } from './dialect.ts'

/** What a data interval waits for, and since when, as the scheduler has seen it. */
export const v5 = both(`
ALTER TABLE intervals ADD COLUMN waits_for TEXT;
ALTER TABLE intervals ADD COLUMN waits_since TEXT;`)
