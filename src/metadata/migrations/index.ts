import type { Migration } from '../database.ts'
import { v1 } from './v1.ts'
import { v2 } from './v2.ts'
import { v3 } from './v3.ts'
import { v4 } from './v4.ts'
import { v5 } from './v5.ts'
import { v6 } from './v6.ts'
import { v7 } from './v7.ts'
import { v8 } from './v8.ts'
import { v9 } from './v9.ts'
import { v10 } from './v10.ts'
import { v11 } from './v11.ts'

/**
 * The schema of the metadata store, one entry a version, the same versions in both databases; an entry is never
 * changed once released. Times are ISO 8601 UTC text with milliseconds in both (so they sort, and the same SQL
 * compares them); only the view batch_job_history gives them as timestamptz in Postgres.
 */
export const MIGRATIONS: Migration[] = [v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11]
