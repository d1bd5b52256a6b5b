import { both } from './dialect.ts'

/** Which columns of a rejected row nobody is shown, as a JSON array. */
export const v6 = both(`
ALTER TABLE error_records ADD COLUMN sensitive TEXT;`)
