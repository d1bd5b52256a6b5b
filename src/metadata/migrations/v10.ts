import { both } from './dialect.ts'

/** Log-ins by an OpenID provider, which says of each what role it has. */
export const v10 = both(`
ALTER TABLE web_sessions ADD COLUMN role TEXT;
ALTER TABLE web_sessions ADD COLUMN issuer TEXT;`)
