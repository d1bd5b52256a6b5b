import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DataType } from 'apache-arrow'
import { arrowType } from '../../engine/batch/arrow.ts'
import { BatchBuilder } from '../../engine/batch/builder.ts'
import { encodeParquet } from '../../engine/parquet/encode.ts'
import { Duck, type DuckRow, quote } from '../../engine/sql/duckdb.ts'
import { parquetSql } from '../../engine/sql/files.ts'
import type { LogicalType } from '../../engine/types/logical.ts'

/** What a logical type is on its way, each in its system's own notation. */
export interface Mapping {
  arrow: string
  /** Physical type, and its annotation where it has one. */
  parquet: { physical: string; annotation?: string }
  duckdb: string
}

/** The mappings as the code makes them: Arrow's type object, and a staged file as DuckDB finds it. */
export async function mappingsOf(types: LogicalType[]): Promise<Mapping[]> {
  const columns = types.map((type, index) => ({ name: `c${index}`, type, nullable: true, native: '' }))
  const folder = mkdtempSync(join(tmpdir(), 'nightfreight-docs-'))
  const duck = await Duck.open({ threads: 1 })
  try {
    const file = join(folder, 'types.parquet')
    writeFileSync(file, encodeParquet(new BatchBuilder('docs', columns, { rows: 1, bytes: 1 }).batch()))
    const [, ...staged] = await duck.rows(
      `SELECT type, type_length, converted_type, logical_type FROM parquet_schema(${quote(file)})`,
    )
    const read = await duck.rows(`DESCRIBE FROM ${parquetSql([file])}`)
    return types.map((type, index) => ({
      arrow: arrowName(arrowType(type)),
      parquet: parquetName(staged[index]!),
      duckdb: String(read[index]!.column_type),
    }))
  } finally {
    duck.close()
    rmSync(folder, { recursive: true })
  }
}

function arrowName(type: DataType): string {
  return DataType.isDecimal(type)
    ? `Decimal${type.bitWidth}(${type.precision},${type.scale})`
    : String(type).replace('<', '(').replace('>', ')')
}

/** A row of DuckDB's parquet_schema in the notation of parquet-format's LogicalTypes.md. */
function parquetName({ type, type_length, converted_type, logical_type }: DuckRow): Mapping['parquet'] {
  const physical = type_length === null ? String(type) : `${type}(${type_length})`
  if (logical_type === null) return { physical }
  const [, name, facts] = /^(\w+)Type\((.*)\)$/.exec(String(logical_type).replaceAll(/[^ -~]/g, ''))!
  const fact = (key: string) => new RegExp(`${key}=(\\w+)`).exec(facts!)?.[1]
  switch (name) {
    case 'Int':
      return { physical, annotation: String(converted_type) }
    case 'Decimal':
      return { physical, annotation: `DECIMAL(${fact('precision')},${fact('scale')})` }
    case 'Time':
    case 'Timestamp': {
      const unit = /(\w+)=(?!<null>)\w+\(\)/.exec(facts!)![1]
      return {
        physical,
        annotation: `${name.toUpperCase()}(${unit}, ${fact('isAdjustedToUTC') === '1' ? 'UTC' : 'local'})`,
      }
    }
    default:
      return { physical, annotation: name!.toUpperCase() }
  }
}
