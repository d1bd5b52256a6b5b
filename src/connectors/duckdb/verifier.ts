import type { PlannedLoad, StagedLoad } from '../../../engine/contracts/load.ts'
import type { TableSchema } from '../../../engine/contracts/source.ts'
import type { ReadBack, Verifier } from '../../../engine/contracts/verification.ts'
import { EngineError } from '../../../engine/errors.ts'
import { type Duck, parquetCodec, quoteName } from '../../../engine/sql/duckdb.ts'
import { parquetType } from '../../../engine/types/duckType.ts'
import { type Column, columnNamed, typeFromName, typeName } from '../../../engine/types/logical.ts'
import { sameType } from '../../../engine/types/nestedType.ts'
import { hasSignedZero, readsTypes, rowTotal, totalSql } from '../../../engine/verify/rowSum.ts'
import { aliveSql, keyColumns, type LoadTables, sameKey } from '../sql/dialect.ts'

/** What the verifier needs of its target. */
interface Warehouse {
  /** For messages. */
  name: string
  open(): Promise<Duck>
  describe(table: string): Promise<TableSchema | undefined>
  tables(loadId: string, load: PlannedLoad): Promise<LoadTables>
}

/** Reads rows of a DuckDB file back as Parquet, in the session's own transaction. */
export function duckdbVerifier({ name, open, describe, tables }: Warehouse): Verifier {
  const found = async (table: string) => {
    const schema = await describe(table)
    if (schema) return schema.columns
    throw new EngineError('TABLE_MISSING', `${name}: there is no table ${table}`, {
      hint: 'Run the job: its load makes the table.',
    })
  }
  const query = async ({ loadId, load, columns, of, staged }: Omit<ReadBack, 'sink'>) => {
    const duck = await open()
    const there = await found(load.table)
    const tablesOf = await tables(loadId, load)
    const { target, staging, keys } = tablesOf
    const isOf = ({ name, duck, type }: Column) => {
      const { native } = columnNamed(there, name)!
      return type.kind === 'nested' || sameType(duck, native) || !typeFromName(native)
    }
    const same = (alias: string) => sameKey(load, tablesOf, '_nf_t', alias)
    const select = (beside: string, against: boolean) => {
      const values = columns.map(own => {
        const { name, parsed, type } = own
        const column = quoteName(name)
        if (!parsed)
          return isOf(own) ? `CAST(_nf_t.${column} AS ${typeName(type)}) AS ${column}` : `_nf_t.${column}`
        const text = `_nf_t.${column}::VARCHAR`
        const differs = tablesOf.differs!(name, `_nf_t.${column}`, tablesOf.cast!(name, `_nf_s.${column}`))
        return `${against ? `CASE WHEN ${differs} THEN ${text} ELSE _nf_s.${column} END` : text} AS ${column}`
      })
      const alive = aliveSql(load, column => `_nf_t.${quoteName(column)}`)
      return `SELECT ${values.join(', ')} FROM ${target} AS _nf_t ${beside}${alive ? ` WHERE ${alive}` : ''}`
    }
    const parsed = staged && columns.some(column => column.parsed)
    const keyed = keyColumns(load as StagedLoad) === load.key
    const sql =
      of === 'all'
        ? select(parsed ? `LEFT JOIN ${staging} AS _nf_s ON ${same('_nf_s')}` : '', parsed)
        : [
            select(`JOIN ${staging} AS _nf_s ON ${same('_nf_s')}`, true),
            ...(keyed ? [select(`JOIN ${keys} AS k ON ${same('k')}`, false)] : []),
          ].join(' UNION ALL ')
    return { duck, sql }
  }
  return {
    async comparable(load) {
      const columns = await found(load.table)
      const notes: string[] = []
      const compared = load.columns.filter(column => {
        if (columnNamed(columns, column.name)) return true
        notes.push(`column ${column.name} is not compared: the table does not have it`)
        return false
      })
      return {
        columns: compared.map(column => ({
          ...column,
          // Where all values of a segment compare as equal, DuckDB keeps one: of both zeros, the one.
          ...(hasSignedZero(column.type) && { unsignedZero: true }),
          ...(isParsed(column, columnNamed(columns, column.name)!.native) && { parsed: true }),
        })),
        notes,
      }
    },
    async read({ sink, ...request }: ReadBack, signal: AbortSignal) {
      const { duck, sql } = await query(request)
      const codec = parquetCodec({ compression: 'uncompressed' })
      const release = duck.interruptOn(signal)
      await sink.file(path => duck.copyParquet(sql, path, codec)).finally(release)
    },
    async total(request: Omit<ReadBack, 'sink'>, expression: string, signal: AbortSignal) {
      const { duck, sql } = await query(request)
      const release = duck.interruptOn(signal)
      try {
        if (!(await readsTypes(duck, sql, request.columns))) return undefined
        return rowTotal((await duck.rows(totalSql(sql, expression)))[0]!)
      } finally {
        release()
      }
    },
  }
}

/** Whether the staged text says what the column holds in another notation than DuckDB's own of its type. */
function isParsed({ duck, type, written }: Column, native: string): boolean {
  if (sameType(native, duck)) return written !== undefined
  const into = parquetType(native)
  return type.kind === 'text' && (!into || into.kind === 'nested')
}
