import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type DbtProject, dbtCommand, dbtFiles, dbtModel } from '../dbt.ts'
import { CASE, CHANGED, changed, MARTS, MODELS, renamed, SOURCES } from './models.ts'

/** The same project as one tool has it. */
export interface Project {
  tool: string
  folder: string
  /** Lines that a person writes, without blank ones. */
  lines: number
  /** Shell lines, run in the folder. */
  show: string
  build: string
  test: string
  /** Rebuilds what the change of one model asks for, and its checks. */
  rebuild: string
  /** Makes the change, or takes it back. */
  change(on: boolean): void
  /** A DuckDB file, and the name of a mart in it. */
  result: { file: string; name(mart: string): string }
}

/** Writes the files of a project; gives how many lines they have. */
export function write(folder: string, files: Record<string, string>): number {
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    writeFileSync(join(folder, file), `${text.trimEnd()}\n`)
  }
  const lines = Object.values(files).flatMap(text => text.split('\n'))
  return lines.filter(line => line.trim() !== '').length
}

const marts = Object.entries(MARTS)
const isSource = (table: string) => Object.hasOwn(SOURCES, table)
const columns = Object.keys(CASE.rows[0]!)
const csv = (rows: Record<string, unknown>[]) =>
  [Object.keys(rows[0]!), ...rows.map(row => Object.values(row))].map(line => line.join(',')).join('\n')

/** `data`: the folder of the sources' files. */
export function nightfreight(folder: string, data: string, bin: string): Project {
  const model = (name: string) => `${name}.sql`
  const lines = write(folder, {
    'job.yaml': `job: shop
connections: { data: "file:${data}", warehouse: "duckdb:warehouse.duckdb" }
defaults:
  extract: { from: data, take: all }
  load: { to: warehouse, mode: replace, guard: { max_delete_share: 1 } }
extract:
${Object.keys(SOURCES)
  .map(name => `  ${name}: { files: ${name}.parquet }`)
  .join('\n')}
load:
${marts.map(([mart, key]) => `  ${mart}: { from: ${mart}, key: ${key} }`).join('\n')}
checks:
${marts.map(([mart, key]) => `  ${mart}: { ${key}: [unique, not_null] }`).join('\n')}`,
    ...Object.fromEntries(Object.entries(MODELS).map(([name, sql]) => [model(name), sql])),
    [`tests/cases/visits/raw_${CASE.input}.csv`]: csv(CASE.rows),
    [`tests/cases/visits/expected/${CASE.model}.csv`]: csv([CASE.gives]),
  })
  return {
    tool: 'Nightfreight',
    folder,
    lines,
    show: `${bin} show . ${CHANGED} --limit 10`,
    build: `${bin} run .`,
    rebuild: `${bin} run .`,
    test: `${bin} test .`,
    change: on => void write(folder, { [model(CHANGED)]: on ? changed(MODELS[CHANGED]!) : MODELS[CHANGED]! }),
    result: { file: join(folder, 'warehouse.duckdb'), name: mart => mart },
  }
}

export function dbt(folder: string, data: string, bin: string): Project {
  const row = (values: Record<string, unknown>) =>
    `{${Object.entries(values)
      .map(([name, value]) => `${name}: ${typeof value === 'string' ? `"${value}"` : value}`)
      .join(', ')}}`
  const project: DbtProject = {
    name: 'shop',
    data,
    sources: Object.keys(SOURCES),
    models: MODELS,
    properties: `models:
${marts
  .map(
    ([mart, key]) => `  - name: ${mart}
    columns:
      - { name: ${key}, data_tests: [unique, not_null] }`,
  )
  .join('\n')}
unit_tests:
  - name: visits
    model: ${CASE.model}
    given:
      - input: ref('${CASE.input}')
        rows:
${CASE.rows.map(each => `          - ${row(each)}`).join('\n')}
    expect:
      rows:
        - ${row(CASE.gives)}`,
  }
  const lines = write(folder, dbtFiles(project))
  const run = dbtCommand(bin)
  const edited = (on: boolean) => dbtModel(on ? changed(MODELS[CHANGED]!) : MODELS[CHANGED]!, project)
  return {
    tool: 'dbt-duckdb',
    folder,
    lines,
    show: `${run} show --profiles-dir . --select ${CHANGED} --limit 10`,
    build: `${run} build --profiles-dir . --exclude-resource-type unit_test`,
    rebuild: `${run} build --profiles-dir . --exclude-resource-type unit_test --select ${CHANGED}+`,
    test: `${run} test --profiles-dir . --select test_type:unit`,
    change: on => void write(folder, { [`models/${CHANGED}.sql`]: edited(on) }),
    result: { file: join(folder, 'warehouse.duckdb'), name: mart => `main.${mart}` },
  }
}

export function sqlmesh(folder: string, data: string, bin: string): Project {
  const file = (name: string) => `models/${name}.sql`
  const model = (name: string, sql: string) => {
    const key = MARTS[name]
    const audits = key ? `, audits (unique_values(columns := (${key})), not_null(columns := (${key})))` : ''
    return `MODEL (name shop.${name}, kind FULL${audits});
${renamed(sql, table => (isSource(table) ? `read_parquet('${data}/${table}.parquet')` : `shop.${table}`))}`
  }
  const row = (values: Record<string, unknown>) =>
    `{${Object.entries(values)
      .map(([name, value]) => `${name}: ${typeof value === 'string' ? `"${value}"` : value}`)
      .join(', ')}}`
  const lines = write(folder, {
    'config.yaml': `gateways:
  local:
    connection: { type: duckdb, database: warehouse.duckdb, concurrent_tasks: 2 }
default_gateway: local
model_defaults: { dialect: duckdb, start: 2025-01-01 }`,
    ...Object.fromEntries(Object.entries(MODELS).map(([name, sql]) => [file(name), model(name, sql)])),
    'tests/test_visits.yaml': `test_visits:
  model: shop.${CASE.model}
  inputs:
    shop.${CASE.input}:
      columns: { ${columns.map(name => `${name}: ${name === 'day' ? 'date' : 'bigint'}`).join(', ')} }
      rows:
${CASE.rows.map(each => `        - ${row(each)}`).join('\n')}
  outputs:
    query:
      rows:
        - ${row(CASE.gives)}`,
  })
  const run = `SQLMESH__DISABLE_ANONYMIZED_ANALYTICS=true ${bin}/sqlmesh`
  return {
    tool: 'SQLMesh',
    folder,
    lines,
    show: `${run} evaluate shop.${CHANGED} --limit 10`,
    build: `${run} plan --auto-apply --no-prompts --skip-tests`,
    rebuild: `${run} plan --auto-apply --no-prompts --skip-tests`,
    test: `${run} test`,
    change: on =>
      void write(folder, {
        [file(CHANGED)]: model(CHANGED, on ? changed(MODELS[CHANGED]!) : MODELS[CHANGED]!),
      }),
    result: { file: join(folder, 'warehouse.duckdb'), name: mart => `shop.${mart}` },
  }
}
