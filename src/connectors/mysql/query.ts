import type { FieldPacket } from 'mysql2'
import type { ExtractSpec, TableSchema } from '../../../engine/contracts/source.ts'
import { EngineError } from '../../../engine/errors.ts'
import { ownValue } from '../../../engine/ownValue.ts'
import {
  checkCondition,
  distinctNames,
  nameIn,
  narrowed,
  relation,
  type Selection,
} from '../wire/selection.ts'
import { CharacterSets } from './characterSets.ts'
import { ask, engineError, interruptOn, type Session } from './connect.ts'
import { logicalColumn, type NativeColumn, tableName } from './types.ts'

/** Flags of a column's definition on the wire. */
const UNSIGNED = 1 << 5
const ENUM = 1 << 8
const SET = 1 << 11
/** The collation of bytes. */
const BINARY = 63

/** Types of numbers and moments on the wire, by their numbers. */
const PLAIN: Record<number, string> = {
  1: 'tinyint',
  2: 'smallint',
  3: 'int',
  4: 'float',
  5: 'double',
  7: 'timestamp',
  8: 'bigint',
  9: 'mediumint',
  10: 'date',
  11: 'time',
  12: 'datetime',
  13: 'year',
  14: 'date',
  16: 'bit',
  245: 'json',
  255: 'geometry',
}
const DECIMALS = [0, 246]
const WHOLE = ['tinyint', 'smallint', 'mediumint', 'int', 'bigint']
/** Types of texts and bytes whose length is of the value, not of the column. */
const LONG = [249, 250, 251, 252]

/** What a query gives, as the server says without running it: no key, nothing that cannot be NULL. */
export async function describeQuery(
  session: Session,
  { name, options, columns: policies }: ExtractSpec,
  signal: AbortSignal,
): Promise<TableSchema> {
  const selected = options as Selection
  const where = `${session.name}.${name}`
  const from = relation(selected, tableName)
  const none = `SELECT * FROM ${from} LIMIT 0`
  const named = await fieldsOf(session, none, signal).catch((cause: unknown) => {
    const error = engineError(session.name, cause)
    if (error.retryable || error.code === 'PERMISSION_DENIED') throw error
    throw new EngineError('CONFIG_INVALID', `extract.${name}.query: ${error.message}`, {
      cause,
      hint: `It is one SELECT in the SQL of ${session.name}, which changes nothing.`,
    })
  })
  distinctNames(where, named)
  // Otherwise every text is said to be of the session's character set, and what that cannot hold is no longer seen.
  await ask(session, 'SET SESSION character_set_results = NULL', signal)
  const fields = await fieldsOf(session, none, signal)
  await ask(session, 'SET SESSION character_set_results = utf8mb4', signal)
  const sets = await CharacterSets.of(session)
  const columns = fields.map((field, index) => {
    const { name } = named[index]!
    return logicalColumn(
      where,
      nativeOf({ ...field, name }, sets),
      ownValue(policies, nameIn(selected, name)),
    )
  })
  await checkCondition(session.name, name, selected, condition =>
    ask(session, `SELECT 1 FROM ${from} WHERE ${condition} LIMIT 0`, signal),
  )
  return narrowed(where, { columns, key: [] }, selected)
}

async function fieldsOf(session: Session, sql: string, signal: AbortSignal): Promise<FieldPacket[]> {
  const { promise, resolve, reject } = Promise.withResolvers<FieldPacket[]>()
  const release = interruptOn(signal, session)
  session.connection.query(sql, (error, _rows, fields) => {
    if (error) reject(error)
    else resolve(fields)
  })
  return promise.finally(release)
}

/** A column of an answer as the catalogue would show it. */
function nativeOf(field: FieldPacket, sets: CharacterSets): NativeColumn {
  const { name, columnType = 253, columnLength = 0, characterSet = BINARY, decimals = 0 } = field
  const flags = Number(field.flags)
  const unsigned = (flags & UNSIGNED) !== 0
  const column = { name, nullable: 'YES', num_precision: null, num_scale: null, charset: null }
  if (DECIMALS.includes(columnType)) {
    const precision = columnLength - (decimals > 0 ? 1 : 0) - (unsigned ? 0 : 1)
    return {
      ...column,
      data_type: 'decimal',
      column_type: `decimal(${precision},${decimals})${unsigned ? ' unsigned' : ''}`,
      num_precision: String(precision),
      num_scale: String(decimals),
    }
  }
  const plain = PLAIN[columnType]
  if (plain) {
    const type = plain === 'bit' ? `bit(${columnLength})` : plain
    return {
      ...column,
      data_type: plain,
      column_type: unsigned && WHOLE.includes(plain) ? `${type} unsigned` : type,
    }
  }
  const charset = characterSet === BINARY ? null : sets.name(characterSet)
  const long = LONG.includes(columnType)
  const base = charset === null ? (long ? 'blob' : 'varbinary') : long ? 'text' : 'varchar'
  // An ENUM or SET is sent as its text.
  const type = flags & ENUM ? 'enum' : flags & SET ? 'set' : base
  return { ...column, data_type: type, column_type: type, charset }
}
