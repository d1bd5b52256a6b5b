import type { StagedLoad } from '../../../engine/contracts/load.ts'
import { EngineError } from '../../../engine/errors.ts'
import { isSensitive } from '../../../engine/mask.ts'
import { quoteIdent, quoteLiteral, quoteTable } from './connect.ts'
import { inexactSql } from './inexact.ts'
import { type Brought, columnCalled, expressions, fit, numericOf, type TargetColumn } from './merge.ts'
import type { TargetSession } from './session.ts'

const RANGES: Record<string, string> = {
  int2: '-32768 AND 32767',
  int4: '-2147483648 AND 2147483647',
  int8: '-9223372036854775808 AND 9223372036854775807',
}

const INPUT_CHECK = 'pg_input_is_valid'
/** The same, made for a session of a server before 16, which has none. */
const OLDER_CHECK = 'pg_temp.nightfreight_input_is_valid'
const MAKE_CHECK = `CREATE OR REPLACE FUNCTION ${OLDER_CHECK}(value text, type text) RETURNS boolean LANGUAGE plpgsql STRICT AS $$
  BEGIN
    EXECUTE format('SELECT %L::%s', value, type);
    RETURN true;
  EXCEPTION WHEN others THEN
    RETURN false;
  END $$`

/** What a column refuses of the values that a load brings for it. */
interface Refusal {
  name: string
  column: TargetColumn
  /** SQL condition of staged values. */
  condition: string
}

/** What columns refuse of staged values; those that take them all are left out. */
export async function refusals(
  session: TargetSession,
  load: Pick<StagedLoad, 'columns'>,
  columns: TargetColumn[],
): Promise<Refusal[]> {
  const by = (check: string) =>
    load.columns.flatMap((brought): Refusal[] => {
      const { name } = brought
      const column = columnCalled(columns, name)
      const condition = column && rejectSql(brought, column, quoteIdent(name), check)
      return condition ? [{ name, column, condition }] : []
    })
  const usual = by(INPUT_CHECK)
  if (!usual.some(({ condition }) => condition.includes(INPUT_CHECK))) return usual
  const { rows } = await session.query(`SELECT to_regprocedure('${INPUT_CHECK}(text, text)') AS there`)
  if (rows[0]!.there !== null) return usual
  await session.query(MAKE_CHECK).catch(error => {
    if (!(error instanceof EngineError) || error.code !== 'PERMISSION_DENIED') throw error
    throw new EngineError(
      'PERMISSION_DENIED',
      `${session.access.name}: which texts a type takes is asked by a function in the session's temporary schema, which may not be made`,
      {
        cause: error,
        hint: 'GRANT TEMPORARY ON DATABASE … TO the user of this connection; from Postgres 16 on none is needed.',
      },
    )
  })
  return by(OLDER_CHECK)
}

/** SQL condition of staged values that a column refuses; undefined where it takes them all. */
function rejectSql(brought: Brought, column: TargetColumn, value: string, check: string): string | undefined {
  const own = ofType(brought, column, value, check)
  if (!column.domain) return own
  const ofDomain = `NOT ${check}(${value}::text, ${quoteLiteral(column.domain)})`
  return own ? `(${own} OR ${ofDomain})` : ofDomain
}

function ofType(brought: Brought, column: TargetColumn, value: string, check: string): string | undefined {
  const { type } = brought
  const { typname, typmod, native } = column
  if (fit(brought, column) === 'parse') {
    const valid = `${check}(${value}::text, ${quoteLiteral(native)})`
    const inexact = inexactSql(brought, column, value)
    return inexact ? `CASE WHEN NOT ${valid} THEN TRUE ELSE ${inexact} END` : `NOT ${valid}`
  }
  if (typname === 'varchar' && typmod >= 4) return `char_length(${value}::text) > ${typmod - 4}`
  // Blanks at the end are the type's, not the value's.
  if (typname === 'bpchar' && typmod >= 4) return `char_length(rtrim(${value}::text, ' ')) > ${typmod - 4}`
  if (type.kind !== 'int' && type.kind !== 'decimal') return undefined
  const range = RANGES[typname]
  if (range) return `${value} NOT BETWEEN ${range}`
  const numeric = typname === 'numeric' && numericOf(typmod)
  return numeric ? `abs(${value}::numeric) >= 1e${numeric.precision - numeric.scale}::numeric` : undefined
}

/** Fails with DATA_INVALID where a column would cut or round a text silently: of one that is too long, blanks at its end. */
export async function refuseCut(
  session: TargetSession,
  load: StagedLoad,
  columns: TargetColumn[],
  staging: string,
  where: string,
): Promise<void> {
  const cut = load.columns.flatMap(brought => {
    const column = columnCalled(columns, brought.name)!
    const value = `${quoteIdent(brought.name)}::text`
    if (column.typname === 'varchar' && column.typmod >= 4) {
      const length = column.typmod - 4
      return `(octet_length(${value}) > ${length} AND char_length(${value}) > ${length})`
    }
    return inexactSql(brought, column, quoteIdent(brought.name))
  })
  const conditions = cut.filter(condition => condition !== undefined)
  if (conditions.length === 0) return
  const { rows } = await session.query(`SELECT 1 FROM ${staging} WHERE ${conditions.join(' OR ')} LIMIT 1`)
  const found = rows.length > 0 && (await findReject(session, load, columns, staging, where))
  if (found) throw found
}

/** SQL text of a key's value; in quotes where it is masked in a message. */
const shownKey = ({ sensitive = [] }: StagedLoad, name: string) =>
  isSensitive(sensitive, name) ? `quote_literal(${quoteIdent(name)}::text)` : `${quoteIdent(name)}::text`

/**
 * Says which staged value the server refused, since its own message names neither row nor column: a DATA_INVALID error
 * with column, value, key and number of such rows. Undefined where none is found.
 */
export async function findReject(
  session: TargetSession,
  load: StagedLoad,
  columns: TargetColumn[],
  staging: string,
  where: string,
): Promise<EngineError | undefined> {
  for (const { name, column, condition } of await refusals(session, load, columns)) {
    const key = load.key.map(part => `${quoteLiteral(`${part} `)} || ${shownKey(load, part)}`)
    const { rows } = await session.query(
      `SELECT left(${quoteIdent(name)}::text, 100) AS value, count(*) OVER () AS n, concat_ws(', ', ${['NULL', ...key].join(', ')}) AS key
       FROM ${staging} WHERE ${condition} ORDER BY 3 LIMIT 1`,
    )
    const found = rows[0]
    if (!found) continue
    const row = found.key ? ` (${found.key})` : ''
    const more = found.n === '1' ? '' : `; ${found.n} rows have such values`
    return new EngineError(
      'DATA_INVALID',
      `${where}.${name}: ${quoteLiteral(found.value!)}${row} does not fit ${column.domain ?? column.native}${more}`,
      { hint: `Nothing was loaded. Widen ${name} in ${load.table}, or add a row check for such values.` },
    )
  }
  return undefined
}

/**
 * Which rows break a CHECK or a NOT NULL, by their keys alone, since the server's message holds every value of one of
 * them: a CONSTRAINT_VIOLATED error. Undefined where none is found.
 */
export async function findViolation(
  session: TargetSession,
  load: StagedLoad,
  columns: TargetColumn[],
  staging: string,
  where: string,
): Promise<EngineError | undefined> {
  const { rows: rules } = await session.query(
    `SELECT conname AS name, pg_get_constraintdef(oid) AS definition, '(' || pg_get_expr(conbin, conrelid) || ') IS FALSE' AS broken
       FROM pg_constraint WHERE conrelid = to_regclass($1) AND contype = 'c'
     UNION ALL SELECT attname, 'NOT NULL', quote_ident(attname) || ' IS NULL'
       FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND attnotnull
     ORDER BY 1`,
    [quoteTable(load.table)],
  )
  const { cast } = expressions(load, columns)
  const typed = load.columns.map(({ name }) => {
    const { native } = columnCalled(columns, name)!
    return `(${cast(name, `_nf_s.${quoteIdent(name)}`)})::${native} AS ${quoteIdent(name)}`
  })
  const key = load.key.map(part => `${quoteLiteral(`${part} = `)} || ${shownKey(load, part)}`)
  for (const { name, definition, broken } of rules) {
    if (definition === 'NOT NULL' && !columnCalled(load.columns, name!)) continue
    const found = await session
      .query(
        `SELECT concat_ws(', ', ${['NULL', ...key].join(', ')}) AS key, count(*) OVER () AS n
         FROM (SELECT ${typed.join(', ')} FROM ${staging} AS _nf_s) AS _nf_t WHERE ${broken} ORDER BY 1 LIMIT 1`,
      )
      // A CHECK may ask for columns that are not loaded.
      .catch(() => undefined)
    const row = found?.rows[0]
    if (!row) continue
    const who = row.key ? `the row of ${row.key}` : 'a row'
    const more = row.n === '1' ? '' : `, and ${Number(row.n) - 1} more`
    return new EngineError('CONSTRAINT_VIOLATED', `${where}: ${who}${more} violates ${name}: ${definition}`, {
      hint: 'Nothing was loaded. Correct the rows or the constraint; or, with on_bad_row: quarantine in this load, such rows go to the quarantine and the others are loaded.',
    })
  }
  return undefined
}
