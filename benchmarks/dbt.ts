import { renamed } from './analyst/models.ts'

/** A project of dbt-duckdb: models as SQL that has plain names behind FROM and JOIN, over Parquet files. */
export interface DbtProject {
  name: string
  /** The folder of the sources' files, each named like its table. */
  data: string
  sources: readonly string[]
  models: Record<string, string>
  /** More of models/schema.yml: tests. */
  properties?: string
}

/** How a model's names are written in dbt; a name that is neither source nor model is one of a query's own. */
export const dbtModel = (sql: string, { sources, models }: Pick<DbtProject, 'sources' | 'models'>) =>
  renamed(sql, table =>
    sources.includes(table)
      ? `{{ source('raw', '${table}') }}`
      : Object.hasOwn(models, table)
        ? `{{ ref('${table}') }}`
        : table,
  )

/** Its files by path; the result is in warehouse.duckdb. */
export const dbtFiles = (project: DbtProject): Record<string, string> => ({
  'dbt_project.yml': `name: ${project.name}
version: "1.0"
profile: ${project.name}
models:
  ${project.name}:
    +materialized: table`,
  'profiles.yml': `${project.name}:
  target: dev
  outputs:
    dev: { type: duckdb, path: warehouse.duckdb, threads: 2 }`,
  'models/schema.yml': `version: 2
sources:
  - name: raw
    config: { external_location: "${project.data}/{name}.parquet" }
    tables:
${project.sources.map(name => `      - name: ${name}`).join('\n')}
${project.properties ?? ''}`,
  ...Object.fromEntries(
    Object.entries(project.models).map(([name, sql]) => [`models/${name}.sql`, dbtModel(sql, project)]),
  ),
})

/** The beginning of dbt's command line; `bin` is the folder of its programs. */
export const dbtCommand = (bin: string) => `DBT_SEND_ANONYMOUS_USAGE_STATS=false ${bin}/dbt --quiet`
