import { globSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { definition, KEY, LINEITEM, sql, type TableOf } from './data.ts'
import { install, installPgloader, type Tool, versionOf } from './tools.ts'

/** A tool that does a workload: what is typed, and what is there before. */
export interface Contender {
  tool: string
  /** What it leaves out or does otherwise than the others, for people. */
  note?: string
  command: string
  env: Record<string, string>
  /** Before each run, not measured. */
  prepare?(): Promise<void>
  /** After a run: what the tool itself says that parts of it took, in seconds. */
  phases?(): Promise<Record<string, number>>
}

/** Where a contender reads and writes, and keeps what it keeps. */
export interface Place {
  /** A URL of a server, a Parquet file, or a folder of CSV files. */
  source: string
  /** A Postgres URL, or a folder that is empty. */
  target: string
  /** A folder of its own, the same from one night to the next. */
  home: string
  /** What is in the target: nothing, what the tool itself left the night before, or a table that has to stay, with all that hangs on it. */
  over?: 'own' | 'kept'
  /** The table that is copied; lineitem where none is said. */
  table?: TableOf
}

const HERE = import.meta.dirname
export const MAIN = join(HERE, '../../src/main.ts')
const MYSQL = 'mariadb --no-defaults --quick --batch --skip-column-names'
const KEYED = `ALTER TABLE lineitem ADD PRIMARY KEY (${KEY.join(', ')})`

const isServer = (source: string) => /^(mysql|postgres):/.test(source)
/** Of a source that is no server: its file, or the pattern of its files. */
const filesOf = (source: string) => (source.endsWith('.parquet') ? source : `${source}/*.csv`)

const parts = (url: string) => {
  const { hostname, port, username, password, pathname } = new URL(url)
  return {
    host: hostname,
    port,
    user: username,
    password: decodeURIComponent(password),
    database: pathname.slice(1),
  }
}

export function nightfreight({ source, target, home }: Place): Contender {
  const to = target.startsWith('postgres') ? '"$TARGET"' : `lake:${target}`
  const key = isServer(source) ? '' : ` --key ${KEY.join(',')}`
  return {
    tool: 'nightfreight',
    command: `"$NODE" "$MAIN" copy "$SOURCE" ${to}${key}`,
    env: { NODE: process.execPath, MAIN, SOURCE: source, TARGET: target, NIGHTFREIGHT_HOME: home },
  }
}

/** The two clients of the servers, and the key; what cannot be done sooner by text. All in one transaction where there is a table to lose. */
export function pipe({ source, target, over }: Place): Contender {
  const { host, port, user, password, database } = parts(source)
  const read = `${MYSQL} -h${host} -P${port} -u${user} ${database} -e 'SELECT * FROM lineitem'`
  const copy = "-c 'COPY lineitem FROM STDIN'"
  const into = {
    nothing: `psql "$TARGET" -q ${copy} && psql "$TARGET" -qc '${KEYED}'`,
    own: `psql "$TARGET" -q1 -c 'DROP TABLE IF EXISTS lineitem' -c '${definition(false)}' ${copy} -c '${KEYED}'`,
    kept: `psql "$TARGET" -q1 -c 'TRUNCATE lineitem' ${copy}`,
  }
  return {
    tool: 'bare pipe',
    note: 'checks nothing, keeps nothing, knows no types: the reference',
    command: `${read} | ${into[over ?? 'nothing']}`,
    env: { MYSQL_PWD: password, TARGET: target, PGOPTIONS: '-c client_min_messages=warning' },
    ...(!over && { prepare: async () => void (await sql(target, definition(false))) }),
  }
}

/** All files without their headers through one COPY; what a shell does about small files. */
export function filesByHand({ source, target }: Place): Contender {
  return {
    tool: 'awk and psql',
    note: 'checks nothing, keeps nothing, guesses no types: the reference',
    command: `find ${source} -name '*.csv' -exec awk 'FNR > 1' {} + | psql "$TARGET" -qc 'COPY lineitem FROM STDIN (FORMAT csv)' && psql "$TARGET" -qc '${KEYED}'`,
    env: { TARGET: target },
    prepare: async () => void (await sql(target, definition(false))),
  }
}

/** Postgres' own stream of a table, to nowhere. */
export function stream({ source }: Place): Contender {
  return {
    tool: 'bare stream',
    note: "the server's binary COPY to nowhere: the reference",
    command: `psql "$SOURCE" -qc 'COPY lineitem TO STDOUT (FORMAT binary)' > /dev/null`,
    env: { SOURCE: source },
  }
}

/** A table copied to a file, into a staging table, and merged: what is done by hand. */
export function copyAndMerge({ source, target, home }: Place): Contender {
  const columns = definition(false).match(/\bl_\w+/g)!
  const values = columns.filter(name => !KEY.includes(name))
  const list = (names: string[], of: string) => names.map(name => `${of}${name}`).join(', ')
  const merge = `MERGE INTO lineitem t USING staging s ON ${KEY.map(key => `t.${key} = s.${key}`).join(' AND ')}
    WHEN MATCHED AND (${list(values, 't.')}) IS DISTINCT FROM (${list(values, 's.')}) THEN UPDATE SET ${values.map(name => `${name} = s.${name}`).join(', ')}
    WHEN NOT MATCHED BY SOURCE THEN DELETE
    WHEN NOT MATCHED THEN INSERT (${list(columns, '')}) VALUES (${list(columns, 's.')})`
  return {
    tool: 'COPY, COPY, MERGE',
    note: 'psql by hand: to a file, into a staging table, one MERGE',
    command: `psql "$SOURCE" -qc "\\copy lineitem to '${home}/rows' (format binary)" &&
      psql "$TARGET" -qc 'DROP TABLE IF EXISTS staging' -c 'CREATE UNLOGGED TABLE staging (LIKE lineitem)' -c "\\copy staging from '${home}/rows' (format binary)" -c 'ANALYZE staging' -c "$MERGE" -c 'DROP TABLE staging'`,
    env: { SOURCE: source, TARGET: target, MERGE: merge },
    prepare: async () => {
      const [made] = await sql(target, "SELECT to_regclass('lineitem')::text AS name")
      if (!made!.name) await sql(target, definition(true))
    },
  }
}

export function sling({ source, target, home, over, table = LINEITEM }: Place): Contender {
  const program = slingOf(install('sling'))
  const file = !isServer(source)
  const postgres = target.startsWith('postgres')
  const secure = (url: string) => (url.startsWith('postgres') ? `${url}?sslmode=disable` : url)
  const from = file
    ? `--src-stream 'file://${filesOf(source)}'`
    : `--src-conn SOURCE --src-stream ${source.startsWith('mysql') ? `${parts(source).database}.${table.name}` : `public.${table.name}`}`
  const to = postgres
    ? `--tgt-conn TARGET --tgt-object public.${table.name} --primary-key '${table.key.join(',')}' --tgt-options '{"table_keys":{"primary":${JSON.stringify(table.key)}}}'`
    : `--tgt-object 'file://${target}/lineitem.parquet'`
  return {
    tool: versionOf('sling'),
    command: `"${program}" run ${from} ${to} --mode ${over === 'kept' ? 'truncate' : 'full-refresh'}`,
    env: {
      ...(!file && { SOURCE: secure(source) }),
      ...(postgres && { TARGET: secure(target) }),
      SLING_HOME_DIR: home,
      SLING_DISABLE_TELEMETRY: 'true',
    },
  }
}

/** The wheel brings the program below its package. */
const slingOf = (bin: string) =>
  globSync(join(bin, '../lib/python*/site-packages/sling_linux_amd64/bin/sling-linux-amd64'))[0]!

export function pgloader({ source, target, home, over, table = LINEITEM }: Place): Contender {
  const script = join(home, 'copy.load')
  const into = over === 'kept' ? 'data only, truncate' : 'include drop, create tables, create indexes'
  return {
    tool: 'pgloader',
    command: `"${installPgloader()}" --quiet --dynamic-space-size 2048 --root-dir ${home} ${script}`,
    env: {},
    prepare: async () =>
      writeFileSync(
        script,
        `LOAD DATABASE FROM ${source} INTO ${target}
  WITH ${into}, workers = 2, concurrency = 1, prefetch rows = 50000
  INCLUDING ONLY TABLE NAMES MATCHING '${table.name}' ALTER SCHEMA '${parts(source).database}' RENAME TO 'public';\n`,
      ),
  }
}

const python =
  (tool: Tool, script: string, file = '') =>
  ({ source, target, home, over, table = LINEITEM }: Place): Contender => {
    const program = join(install(tool), 'python')
    const to = target.startsWith('postgres') ? target : join(target, file)
    // SQLAlchemy's names of the schemes.
    const own = (isServer(source) ? source : filesOf(source))
      .replace(/^mysql:/, 'mysql+pymysql:')
      .replace(/^postgres:/, 'postgresql:')
    const from = tool === 'dlt' || !isServer(source) ? own : source
    return {
      tool: versionOf(tool),
      command: `"${program}" "${join(HERE, script)}" "$SOURCE" "$TARGET"`,
      env: {
        SOURCE: from,
        TARGET: to,
        HOME_OF_TOOL: home,
        OVER: over ?? '',
        TABLE: table.name,
        KEY: table.key.join(', '),
        RUNTIME__DLTHUB_TELEMETRY: 'false',
        RUNTIME__LOG_LEVEL: 'ERROR',
      },
    }
  }

export const dlt = python('dlt', 'copy_dlt.py')
export const connectorx = python('connectorx', 'copy_connectorx.py', 'lineitem.parquet')
export const duckdb = python('duckdb', 'copy_duckdb.py', 'lineitem.parquet')
