import * as tools from './contenders.ts'
import { existing, intoParquet, intoPostgres } from './copies.ts'
import type { Ground } from './ground.ts'
import { night, replace } from './nights.ts'
import { queries } from './queries.ts'
import type { Race } from './race.ts'
import { serial } from './serial.ts'
import { smallFiles } from './smallFiles.ts'

/** By name, in the order of the report. */
export const WORKLOADS: Record<string, (ground: Ground) => Promise<Race>> = {
  'mariadb-postgres': ground =>
    intoPostgres(
      ground,
      {
        name: 'mariadb-postgres',
        title: 'MariaDB to Postgres, a first copy with its key',
        source: ground.mariadb.source,
        reference: 'bare pipe',
      },
      [tools.pipe, tools.nightfreight, tools.sling, tools.pgloader, tools.dlt, tools.duckdb],
    ),
  night,
  replace,
  existing,
  'postgres-parquet': async ground =>
    intoParquet(
      ground,
      {
        name: 'postgres-parquet',
        title: 'Postgres to Parquet, zstd',
        source: ground.postgres.source,
        reference: 'bare stream',
      },
      [tools.stream, tools.nightfreight, tools.connectorx, tools.duckdb, tools.sling, tools.dlt],
    ),
  'mariadb-parquet': async ground =>
    intoParquet(
      ground,
      {
        name: 'mariadb-parquet',
        title: 'MariaDB to Parquet, zstd',
        source: ground.mariadb.source,
        reference: 'connectorx 0.4.6',
      },
      [tools.nightfreight, tools.connectorx, tools.duckdb, tools.sling, tools.dlt],
    ),
  'parquet-postgres': ground =>
    intoPostgres(
      ground,
      {
        name: 'parquet-postgres',
        title: 'A Parquet file to Postgres, with its key',
        source: ground.files.parquet,
        reference: 'duckdb 1.5.5',
      },
      [tools.nightfreight, tools.duckdb, tools.sling, tools.dlt],
    ),
  files: smallFiles,
  queries,
  serial,
}
