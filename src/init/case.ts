import { plainName } from '../../engine/sql/duckdb.ts'
import { type Column, columnNamed, typeName } from '../../engine/types/logical.ts'
import type { SurveyedTable } from './survey.ts'

/** A case for the example's model: files below the job's folder. */
export function caseFiles(
  model: string,
  table: SurveyedTable,
  time: Column | undefined,
): Record<string, string> {
  const key = table.key.flatMap(name => columnNamed(table.columns, name) ?? [])
  const told = [...key, ...(time && !key.includes(time) ? [time] : [])]
  const columns = told.length > 0 ? told : table.columns.slice(0, 1)
  const rows = [1, 2].map(n => columns.map(column => sample(column, n)).join(', '))
  const names = columns.map(({ name }) => plainName(name)).join(', ')
  const all = table.columns.map(({ name, type }) => `  ${plainName(name)} ${typeName(type)}`).join(',\n')
  return {
    'tests/case.yaml': 'run_at: 2026-01-31T02:00:00Z\n',
    'tests/tables.sql': `-- Extracts as models see them, for: nightfreight test\nCREATE TABLE ${plainName(table.extract)} (\n${all}\n);\n`,
    [`tests/cases/first/${table.extract}.sql`]: `-- What the extract gives in this case; .csv will do, too.\nSELECT ${names}\nFROM (VALUES (${rows.join('), (')})) AS t(${names})\n`,
    [`tests/cases/first/expected/${model}.csv`]: time
      ? 'day,row_count\n2026-01-01,1\n2026-01-02,1\n'
      : `table_name,row_count\n${table.extract},2\n`,
  }
}

/** A value of a column's type, as SQL writes it; another for each `n`. */
function sample({ type }: Column, n: number): string {
  switch (type.kind) {
    case 'int':
    case 'float':
    case 'decimal':
      return String(n)
    case 'bool':
      return n === 1 ? 'true' : 'false'
    case 'date':
    case 'timestamp':
      return `${typeName(type)} '2026-01-0${n}'`
    case 'time':
      return `TIME '0${n}:00'`
    case 'binary':
      return `'${n}'::BLOB`
    case 'text':
    case 'nested':
      return `'${n}'`
  }
}
