/** What a statement in the log does to a followed table that no row event tells. */
export type StatementEffect = 'none' | 'truncated' | 'lost'

/** A statement without comments and strings, its spaces single: what its words are looked for in. */
function plain(sql: string): string {
  return sql
    .replace(/\/\*(?!M?!)[\s\S]*?\*\//g, ' ')
    .replace(/\/\*M?!\d*|\*\//g, ' ')
    .replace(/(--\s|#).*$/gm, ' ')
    .replace(/'(?:[^'\\]|\\[\s\S]|'')*'/g, "''")
    .replace(/\s+/g, ' ')
    .trim()
}

const NAME = '(?:`(?:[^`]|``)+`|[\\w$\\u0080-\\uffff]+)'
const TABLE = new RegExp(`(${NAME})(?:\\s*\\.\\s*(${NAME}))?`, 'gu')

const bare = (name: string) => (name.startsWith('`') ? name.slice(1, -1).replaceAll('``', '`') : name)

/** The tables that a piece of SQL may name, as `database.table`; words that are none among them. */
function named(sql: string, database: string): Set<string> {
  const found = new Set<string>()
  for (const [, first = '', second] of sql.matchAll(TABLE)) {
    if (second !== undefined) found.add(`${bare(first)}.${bare(second)}`)
    found.add(`${database}.${bare(first)}`)
    if (second !== undefined) found.add(`${database}.${bare(second)}`)
  }
  return found
}

/**
 * What a statement of the log means for the rows of a table. `database`: that in which it ran; `table`: `database.table`.
 * Where in doubt, they are lost: the table must be read anew.
 */
export function effectOf(sql: string, database: string, table: string, fold: boolean): StatementEffect {
  const text = plain(sql)
  const same = (name: string) => (fold ? name.toLowerCase() === table.toLowerCase() : name === table)
  const names = (of: string) => [...named(of, database)].some(same)
  const truncate = /^TRUNCATE (?:TABLE )?(.*)$/is.exec(text)
  if (truncate) return names(truncate[1]!) ? 'truncated' : 'none'
  const dropped = /^DROP (?:DATABASE|SCHEMA) (?:IF EXISTS )?(\S+)/i.exec(text)
  if (dropped) return same(`${bare(dropped[1]!)}.${table.slice(table.indexOf('.') + 1)}`) ? 'lost' : 'none'
  const gone = /^(?:DROP TABLE|RENAME TABLES?|CREATE OR REPLACE TABLE)\b(.*)$/is.exec(text)
  // What else a definition names (columns, other tables) is not replaced.
  if (gone) {
    const own = /^CREATE/i.test(text) ? gone[1]!.split('(')[0]! : gone[1]!
    return names(own) ? 'lost' : 'none'
  }
  const altered = /^ALTER (?:ONLINE |IGNORE )*TABLE (.*)$/is.exec(text)
  // Rows that a new key has twice go, and values that do not fit are cut, without a word in the log.
  if (altered && /^ALTER (?:ONLINE )?IGNORE /i.test(text)) return names(altered[1]!) ? 'lost' : 'none'
  if (
    altered &&
    /\b(?:TRUNCATE|DROP|EXCHANGE|DISCARD|IMPORT|CONVERT) (?:PARTITION|TABLESPACE|TABLE)\b|\bRENAME (?:TO |AS )?(?!COLUMN|INDEX|KEY)/i.test(
      text,
    )
  )
    return names(altered[1]!) ? 'lost' : 'none'
  // Rows changed by a statement, not as rows: binlog_format was not ROW.
  if (/^(?:INSERT|UPDATE|DELETE|REPLACE|LOAD|WITH|CALL)\b/i.test(text)) return names(text) ? 'lost' : 'none'
  return 'none'
}

const COLUMN = `(?:COLUMN )?(?:IF EXISTS )?(${NAME})`
const DROPPED = new RegExp(
  `\\bDROP (?!(?:INDEX|KEY|PRIMARY|FOREIGN|CONSTRAINT|CHECK|DEFAULT|PARTITION|PERIOD|SYSTEM)\\b)${COLUMN}`,
  'giu',
)
const RETYPED = new RegExp(`\\bMODIFY ${COLUMN}`, 'giu')
const RENAMED = new RegExp(`\\b(?:RENAME COLUMN|CHANGE) ${COLUMN} (?:TO )?(${NAME})`, 'giu')

/** What ALTER TABLE does to the columns of a table, by their names: whose values are others now, and whose type is. */
export interface AlteredColumns {
  anew: string[]
  retyped: string[]
}

/** The columns of a table that a statement of the log alters; see {@link effectOf}. */
export function alteredColumns(sql: string, database: string, table: string, fold: boolean): AlteredColumns {
  const text = plain(sql)
  const found: AlteredColumns = { anew: [], retyped: [] }
  const [, own] = /^ALTER (?:ONLINE |IGNORE )*TABLE (?:IF EXISTS )?(\S+)/i.exec(text) ?? []
  if (own === undefined) return found
  const same = (name: string) => (fold ? name.toLowerCase() === table.toLowerCase() : name === table)
  if (![...named(own, database)].some(same)) return found
  for (const [, name] of text.matchAll(DROPPED)) found.anew.push(bare(name!))
  for (const [, name] of text.matchAll(RETYPED)) found.retyped.push(bare(name!))
  for (const [, from, to] of text.matchAll(RENAMED))
    if (bare(from!).toLowerCase() === bare(to!).toLowerCase()) found.retyped.push(bare(from!))
    else found.anew.push(bare(from!), bare(to!))
  return found
}
