import { REJECTED } from '../../engine/batch/builder.ts'
import { EngineError } from '../../engine/errors.ts'
import { type Duck, quote, quoteName } from '../../engine/sql/duckdb.ts'
import { type Column, typeName } from '../../engine/types/logical.ts'
import type { FieldSql } from './field.ts'

/** Rows of files as SQL sees them, before their values have types. */
export interface Texts {
  /** What to select from: has `_file`, an index into `names`, and `_line`. */
  from: string
  /** Names of the files, for reasons. */
  names: string[]
  /** SQL of a column's value; undefined where the files have none. */
  value(column: Column): FieldValue | undefined
  rowFault?: { reason: string; raw: string }
  /** Rows of a row group, where many would take too much memory. */
  group?: number
}

/** SQL of a value, of whether its type cannot hold it, and of its text. */
export interface FieldValue extends FieldSql {
  /** Whether a bad one sends its row to the quarantine where the job says nothing of the column. */
  error?: string
  text: string
}

const STOP = `error('bad value')`

/** SQL of whether a value is a reason to stop, and to reject its row. */
function verdicts({ policy }: Column, { bad, error }: FieldValue): { stops: string; rejects: string } {
  if (policy === 'null') return { stops: 'false', rejects: 'false' }
  if (policy === 'quarantine') return { stops: 'false', rejects: bad }
  if (policy !== undefined || error === undefined) return { stops: bad, rejects: 'false' }
  return { stops: `(${bad} AND NOT ${error})`, rejects: `(${bad} AND ${error})` }
}
const reason = ({ type }: Column) => `is not a value that ${typeName(type)} holds exactly`

/**
 * Writes the rows to a Parquet file with the read's columns, types checked. Fails with the first value that does not fit. True
 * where no row could have one: then the file lacks the column of rejects.
 */
export async function writeTyped(
  duck: Duck,
  where: string,
  columns: Column[],
  texts: Texts,
  path: string,
): Promise<boolean> {
  const plain = columns.filter(({ name }) => name !== REJECTED)
  const exact = !texts.rowFault && plain.every(column => (texts.value(column)?.bad ?? 'false') === 'false')
  const named = inSteps(plain, texts)
  const values = (exact ? plain : columns).map(column =>
    column.name === REJECTED ? `${rejections(plain, named)} AS ${REJECTED}` : output(column, named),
  )
  try {
    const group = texts.group === undefined ? [] : [`ROW_GROUP_SIZE ${texts.group}`]
    const rows = `SELECT ${values.join(', ')} FROM ${named.from}`
    // By a Parquet file's statistics no value would be looked at that they say is good.
    await duck.run(`SET disabled_optimizers = 'common_subexpressions, statistics_propagation'`)
    await duck.copyParquet(rows, path, 'COMPRESSION snappy', ...group)
    return exact
  } catch (error) {
    throw await explained(duck, where, plain, texts, error)
  } finally {
    await duck.run('RESET disabled_optimizers')
  }
}

/**
 * The same rows, in steps: the values, then whether they fit, then what is made of both, so that nothing stands twice in
 * one: DuckDB computes it twice, and looks for what is the same in the square of a step's length.
 */
function inSteps(columns: Column[], texts: Texts): Texts {
  const found = new Map<string, FieldValue>()
  const values: string[] = []
  const verdicts: string[] = []
  for (const [index, column] of columns.entries()) {
    const field = texts.value(column)
    if (!field) continue
    if (field.bad === 'false') {
      found.set(column.name, field)
      continue
    }
    const [value, bad] = [`_nf_v${index}`, `_nf_b${index}`]
    values.push(`${field.value} AS ${value}`)
    verdicts.push(`${field.badOf?.(value) ?? field.bad} AS ${bad}`)
    found.set(column.name, { ...field, value, bad })
  }
  if (values.length === 0) return texts
  return {
    ...texts,
    from: `(SELECT *, ${verdicts.join(', ')} FROM (SELECT *, ${values.join(', ')} FROM ${texts.from}))`,
    value: column => found.get(column.name),
  }
}

/** Writes rows that hold nothing but why they were rejected. */
export async function writeRejects(
  duck: Duck,
  columns: Column[],
  rejects: { column: string; value: string; reason: string }[],
  path: string,
): Promise<void> {
  const list = rejects.map(reject => quote(JSON.stringify([reject]))).join(', ')
  const values = columns.map(({ name, type }) =>
    name === REJECTED ? REJECTED : `NULL::${typeName(type)} AS ${quoteName(name)}`,
  )
  const rows = `SELECT ${values.join(', ')} FROM (SELECT unnest([${list}]) AS ${REJECTED})`
  await duck.copyParquet(rows, path, 'COMPRESSION snappy')
}

const location = ({ names }: Texts) =>
  names.length === 1
    ? `${quote(names[0]!)} || ' line ' || _line`
    : `([${names.map(quote).join(', ')}])[_file + 1] || ' line ' || _line`

function output(column: Column, texts: Texts): string {
  const name = quoteName(column.name)
  const found = texts.value(column)
  if (!found) return `NULL::${typeName(column.type)} AS ${name}`
  const { value, bad } = found
  if (bad === 'false') return `${value} AS ${name}`
  const { stops } = verdicts(column, found)
  const otherwise = stops === 'false' ? 'NULL' : stops === bad ? STOP : `CASE WHEN ${stops} THEN ${STOP} END`
  return `CASE WHEN ${bad} THEN CAST(${otherwise} AS ${typeName(column.type)}) ELSE ${value} END AS ${name}`
}

/** JSON list of what is wrong with a row, as the batch builder writes it; NULL for a good row. */
function rejections(columns: Column[], texts: Texts): string {
  const entry = (column: string, value: string, why: string) =>
    `to_json({'column': ${column}, 'value': ${value}, 'reason': ${why}})::VARCHAR`
  const entries = columns.flatMap(column => {
    const found = texts.value(column)
    if (!found || found.bad === 'false') return []
    const { rejects } = verdicts(column, found)
    if (rejects === 'false') return []
    const why = `${quote(`${reason(column)} (`)} || ${location(texts)} || ')'`
    return [`CASE WHEN ${rejects} THEN ${entry(quote(column.name), found.text, why)} END`]
  })
  const { rowFault } = texts
  if (rowFault)
    entries.push(
      `CASE WHEN ${rowFault.reason} IS NOT NULL THEN ${entry(location(texts), rowFault.raw, rowFault.reason)} END`,
    )
  if (entries.length === 0) return 'NULL::VARCHAR'
  return `'[' || nullif(concat_ws(',', ${entries.join(', ')}), '') || ']'`
}

const formatHint = ({ type }: Column) =>
  type.kind === 'date'
    ? 'say how days are written (date_format: "%d.%m.%Y"), '
    : type.kind === 'timestamp'
      ? 'say how moments are written (timestamp_format: "%d.%m.%Y %H:%M"), '
      : ''

/** The error with file, line and value: finds the first bad value, which the statement itself could not name. */
async function explained(
  duck: Duck,
  where: string,
  columns: Column[],
  texts: Texts,
  error: unknown,
): Promise<unknown> {
  if (!(error instanceof EngineError) || !error.message.includes('bad value')) return error
  for (const column of columns) {
    const found = texts.value(column)
    if (!found || found.bad === 'false') continue
    const { stops } = verdicts(column, found)
    if (stops === 'false') continue
    const [row] = await duck.rows(
      `SELECT _file, _line, ${found.text} AS value FROM ${texts.from} WHERE ${stops} LIMIT 1`,
    )
    if (row)
      return new EngineError(
        'DECODE_FAILED',
        `${where} ${texts.names[Number(row._file)]}: line ${row._line}: ${column.name}: ${JSON.stringify(row.value)} ${reason(column)}`,
        {
          hint: `Correct schema.${column.name}, ${formatHint(column)}or set columns.${column.name} of this extract to null, quarantine or text.`,
        },
      )
  }
  return error
}
