import type { Part } from '../contracts/staging.ts'
import type { Image, ImageRead } from '../staging/image.ts'
import type { Column } from '../types/logical.ts'

/** Rows that models see of a table, of this run or an earlier one. */
export interface Seen {
  sql: string
  columns: Column[]
  /** Of a data set: whether they are all that was staged. */
  isAll?: boolean
  /** Its files, and a hash of what makes a table of them; absent where that are other files. */
  files?: { parts: Part[]; shape: string }
  /** The image whose rows they are, all of them. */
  image?: { image: Image; read: ImageRead }
}
