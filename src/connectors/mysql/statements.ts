/** What a statement in the log does to a followed table that no row event tells. `repaired`: rows that its engine could not read are gone. */
export type StatementEffect = 'none' | 'truncated' | 'repaired' | 'lost'

/** A statement of the log, the database in which it ran, and how its quotes are read there. */
export interface LoggedStatement {
  sql: string
  database: string
  /** Double quotes are a name's, as by ANSI_QUOTES. */
  ansi?: boolean
  /** A backslash is a character like others, as by NO_BACKSLASH_ESCAPES. */
  plain?: boolean
}

const quoted = (quote: string, plain = false) =>
  plain || quote === '`'
    ? `${quote}[^${quote}]*(?:${quote}${quote}[^${quote}]*)*(?:${quote}|$)`
    : `${quote}[^${quote}\\\\]*(?:(?:\\\\[^]|${quote}${quote})[^${quote}\\\\]*)*(?:${quote}|$)`

/** Quoted texts and names, comments, what opens and closes one that is run, and spaces: whatever begins first holds the others. */
const lexer = ({ plain = false, ansi = false }: Pick<LoggedStatement, 'plain' | 'ansi'>) =>
  new RegExp(
    `${quoted("'", plain)}|${quoted('"', plain || ansi)}|${quoted('`')}|(?:--(?=[\\s\\0-\\x1f]|$)|#)[^\\n]*|/\\*M?!\\d*|\\*/|/\\*[^]*?(?:\\*/|$)|\\s+`,
    'g',
  )

/**
 * What its words are looked for in: without comments, its spaces single, its strings empty, each quoted name a number in
 * backticks, by which {@link Lexed.names} has it.
 */
interface Lexed {
  text: string
  names: string[]
}

function lexed({ sql, ansi, plain }: LoggedStatement): Lexed {
  const names: string[] = []
  const text = sql
    .replace(lexer({ plain, ansi }), found => {
      const [quote = ''] = found
      if (quote === '`' || (quote === '"' && ansi)) {
        const end = found.length > 1 && found.endsWith(quote) ? -1 : undefined
        return `\`${names.push(found.slice(1, end).replaceAll(quote + quote, quote)) - 1}\``
      }
      return quote === "'" || quote === '"' ? "''" : ' '
    })
    .replace(/ +/g, ' ')
    .replace(/ ?\. ?/g, '.')
    .trim()
  return { text: withoutSettings(text), names }
}

/** `SET STATEMENT max_statement_time = 10 FOR …` is logged as it was sent. */
function withoutSettings(text: string): string {
  const inner = text.replace(/^SET STATEMENT\b.*? FOR /i, '')
  return inner === text ? text : withoutSettings(inner)
}

const NAME = '(?:`\\d+`|[\\w$\\u0080-\\uffff]+)'
const TABLE = new RegExp(`(${NAME})(?:\\.(${NAME}))?`, 'gu')

const bare = (name: string, names: string[]) =>
  name.startsWith('`') ? names[Number(name.slice(1, -1))]! : name

/** The tables that a piece of SQL may name, as `database.table`; words that are none among them. */
function named(sql: string, names: string[], database: string): Set<string> {
  const found = new Set<string>()
  for (const [, first = '', second] of sql.matchAll(TABLE)) {
    if (second !== undefined) found.add(`${bare(first, names)}.${bare(second, names)}`)
    found.add(`${database}.${bare(first, names)}`)
    if (second !== undefined) found.add(`${database}.${bare(second, names)}`)
  }
  return found
}

/** What changes no row of a table, where {@link effectOf} knows no more of it. */
const HARMLESS =
  /^(?:ALTER|ANALYZE|BACKUP|CHANGE|CHECK|CHECKSUM|CREATE|DROP|FLUSH|GRANT|INSTALL|LOCK|OPTIMIZE|PURGE|RELEASE|RENAME|RESET|REVOKE|SAVEPOINT|SET|START|STOP|UNINSTALL|UNLOCK|USE)\b/i

/**
 * What a statement of the log means for the rows of a table, `database.table`. Where in doubt, they are lost: the table must be
 * read anew.
 */
export function effectOf(statement: LoggedStatement, table: string, fold: boolean): StatementEffect {
  const { text, names } = lexed(statement)
  const { database } = statement
  const same = (name: string) => (fold ? name.toLowerCase() === table.toLowerCase() : name === table)
  const isIn = (piece: string) => [...named(piece, names, database)].some(same)
  const truncate = /^TRUNCATE (?:TABLE )?(.*)$/i.exec(text)
  if (truncate) return isIn(truncate[1]!) ? 'truncated' : 'none'
  if (/^REPAIR /i.test(text)) return isIn(text) ? 'repaired' : 'none'
  const dropped = /^(?:DROP|CREATE OR REPLACE) (?:DATABASE|SCHEMA) (?:IF EXISTS )?(\S+)/i.exec(text)
  if (dropped)
    return same(`${bare(dropped[1]!, names)}.${table.slice(table.indexOf('.') + 1)}`) ? 'lost' : 'none'
  const gone = /^(?:DROP TABLES?|RENAME TABLES?|CREATE OR REPLACE TABLE)\b(.*)$/i.exec(text)
  // What else a definition names (columns, other tables) is not replaced.
  if (gone) {
    const own = /^CREATE/i.test(text) ? gone[1]!.split('(')[0]! : gone[1]!
    return isIn(own) ? 'lost' : 'none'
  }
  const altered = /^ALTER (?:ONLINE |IGNORE )*TABLE (.*)$/i.exec(text)
  // Rows that a new key has twice go, and values that do not fit are cut, without a word in the log.
  if (altered && /^ALTER (?:ONLINE )?IGNORE /i.test(text)) return isIn(altered[1]!) ? 'lost' : 'none'
  if (
    altered &&
    /\b(?:TRUNCATE|DROP|EXCHANGE|DISCARD|IMPORT|CONVERT|REPAIR) (?:PARTITION|TABLESPACE|TABLE)\b|\bRENAME (?:TO |AS )?(?!(?:COLUMN|INDEX|KEY)\b)/i.test(
      text,
    )
  )
    return isIn(altered[1]!) ? 'lost' : 'none'
  // Rows changed by a statement, not as rows (binlog_format was not ROW); or one of which we know nothing.
  return !HARMLESS.test(text) && isIn(text) ? 'lost' : 'none'
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

/** ALTER TABLE of a table; undefined where a statement of the log is none. */
function alterOf(statement: LoggedStatement, table: string, fold: boolean): Lexed | undefined {
  const found = lexed(statement)
  const { text, names } = found
  const [, own] = /^ALTER (?:ONLINE |IGNORE )*TABLE (?:IF EXISTS )?(\S+)/i.exec(text) ?? []
  if (own === undefined) return undefined
  const same = (name: string) => (fold ? name.toLowerCase() === table.toLowerCase() : name === table)
  return [...named(own, names, statement.database)].some(same) ? found : undefined
}

/** Whether a statement of the log may give a table another engine. */
export const altersEngine = (statement: LoggedStatement, table: string, fold: boolean): boolean =>
  /\bENGINE\b/i.test(alterOf(statement, table, fold)?.text ?? '')

/** The columns of a table that a statement of the log alters; see {@link effectOf}. */
export function alteredColumns(statement: LoggedStatement, table: string, fold: boolean): AlteredColumns {
  const found: AlteredColumns = { anew: [], retyped: [] }
  const altered = alterOf(statement, table, fold)
  if (!altered) return found
  const { text, names } = altered
  for (const [, name] of text.matchAll(DROPPED)) found.anew.push(bare(name!, names))
  for (const [, name] of text.matchAll(RETYPED)) found.retyped.push(bare(name!, names))
  for (const [, one, other] of text.matchAll(RENAMED)) {
    const [from, to] = [bare(one!, names), bare(other!, names)]
    if (from.toLowerCase() === to.toLowerCase()) found.retyped.push(from)
    else found.anew.push(from, to)
  }
  return found
}
