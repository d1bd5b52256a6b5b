import type { TableSchema } from '../../../engine/contracts/source.ts'
import type { Verifier, VerifyRequest } from '../../../engine/contracts/verification.ts'
import { EngineError } from '../../../engine/errors.ts'
import { type Duck, quote, quoteName } from '../../../engine/sql/duckdb.ts'
import { columnNamed, typeFromName } from '../../../engine/types/logical.ts'
import { checksum } from '../../../engine/verify/checksum.ts'
import { findings, narrowed } from '../sql/verify.ts'

/** What the verifier needs of its target. */
interface Warehouse {
  /** For messages. */
  name: string
  open(): Promise<Duck>
  describe(table: string): Promise<TableSchema | undefined>
  /** Quoted and qualified. */
  qualified(table: string): string
}

/** Verification in a DuckDB file: what should be there is read from Parquet as it lies. */
export function duckdbVerifier({ name, open, describe, qualified }: Warehouse): Verifier {
  const found = async (table: string) => {
    const schema = await describe(table)
    if (schema) return schema.columns
    throw new EngineError('TABLE_MISSING', `${name}: there is no table ${table}`, {
      hint: 'Run the job: its load makes the table.',
    })
  }
  return {
    async comparable(load) {
      const columns = await found(load.table)
      const notes: string[] = []
      const compared = load.columns.filter(column => {
        const native = columnNamed(columns, column.name)?.native
        const reason =
          native === undefined
            ? 'the table does not have it'
            : typeFromName(native) || /^(ENUM|JSON)/.test(native)
              ? undefined
              : `${native} has a notation of its own`
        if (reason) notes.push(`column ${column.name} is not compared: ${reason}`)
        return reason === undefined
      })
      // Where all values of a segment compare as equal, DuckDB keeps one: of both zeros, the one.
      const unsigned = compared.map(column =>
        column.type.kind === 'float' ? { ...column, unsignedZero: true } : column,
      )
      return { columns: unsigned, notes }
    },
    async compare({ load, compared, paths, extra }: VerifyRequest, signal: AbortSignal) {
      const duck = await open()
      const columns = await found(load.table)
      const tables = {
        target: qualified(load.table),
        expected: `read_parquet([${paths.map(quote).join(', ')}])`,
        quote: quoteName,
        checksum: checksum(compared, column => narrowed(column, columnNamed(columns, column.name)!.native)),
        text: (expression: string) => `${expression}::VARCHAR`,
      }
      const release = duck.interruptOn(signal)
      try {
        return await findings(load, extra, tables, sql => duck.rows(sql))
      } finally {
        release()
      }
    },
  }
}
