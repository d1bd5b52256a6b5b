import { isOutOfMemory } from '../../../engine/sql/duckdb.ts'

/** Bytes DuckDB may hold while a table is written or verified; what is more goes to the store's work folder. */
const MEMORY = 512 * 1024 * 1024

/** What `act` makes with the memory that rows take, or, where that is too little for their very long texts, with `most`. */
export async function withMemory<T>(most: number, act: (memory: number) => Promise<T>): Promise<T> {
  try {
    return await act(MEMORY)
  } catch (error) {
    if (!isOutOfMemory(error) || most <= MEMORY) throw error
    return act(most)
  }
}
