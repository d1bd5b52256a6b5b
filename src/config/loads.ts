import type { LoadSpec } from '../../engine/contracts/load.ts'
import { isFor } from '../../engine/contracts/semantics.ts'
import type { ExtractSpec } from '../../engine/contracts/source.ts'
import { isSensitive } from '../../engine/mask.ts'
import { didYouMean } from '../../engine/nearest.ts'
import { ownValue } from '../../engine/ownValue.ts'
import type { Connector } from '../connectors/declare/define.ts'
import type { JobConnection } from '../spec/job.ts'
import type { Document } from './document.ts'
import type { JobFolder } from './folder.ts'
import { historyColumns, type JobYaml } from './schema.ts'

/** Checks each load against the connections, extracts and models it names. */
export function readLoads(
  document: Document,
  yaml: JobYaml,
  connections: Record<string, JobConnection>,
  folder: JobFolder,
  extracts: Pick<ExtractSpec, 'name' | 'key' | 'sensitive' | 'onError'>[],
): LoadSpec[] {
  const tables = [...Object.keys(yaml.extract), ...folder.models.map(model => model.name)]
  return Object.entries(yaml.load).map(([table, written]) => {
    const path = ['load', table]
    // A table that is loaded as it was read has the key that it was read by.
    const whole = extracts.find(({ name }) => name === written.from)
    const load = written.key.length > 0 ? written : { ...written, key: whole?.key ?? [] }
    const connection = ownValue(connections, load.to)
    if (table.trim() === '') document.problem(path, 'load: a table needs a name', 'key')
    if (!Object.hasOwn(yaml.connections, load.to))
      document.problem(
        [...path, 'to'],
        `load.${table}.to: no connection "${load.to}"${didYouMean(load.to, Object.keys(yaml.connections))}`,
      )
    else if (connection?.connector.capabilities.target === false)
      document.problem(
        [...path, 'to'],
        `load.${table}.to: ${connection.connector.name} cannot be loaded into`,
      )
    if (!tables.includes(load.from))
      document.problem(
        [...path, 'from'],
        `load.${table}.from: no model or extract "${load.from}"${didYouMean(load.from, tables)}`,
      )
    for (const problem of loadProblems(load, connection?.connector))
      document.problem([...path, problem.key], `load.${table}.${problem.key}: ${problem.message}`)
    const { to, from, key, mode, newer, stamp, deletes, partitions, compare, ignore, guard, verify } = load
    const scd2 = load.scd2 ?? historyColumns.parse({})
    const sensitive = sensitiveOf(load, extracts)
    const nesting = connection?.connector.capabilities.nesting
    const split = load.partition_by.find(name => isSensitive(sensitive, name))
    if (split)
      document.problem(
        [...path, 'partition_by'],
        `load.${table}.partition_by: ${split} is sensitive, and would be the name of a partition`,
      )
    const { on_bad_row: onBadRow, on_duplicate: onDuplicate, on_error: onError = whole?.onError } = load
    return {
      table,
      to,
      from,
      mode,
      key,
      insertOnly: load.insert_only,
      deletes,
      partitionBy: load.partition_by,
      compare,
      ignore,
      scd2: { validFrom: scd2.valid_from, validTo: scd2.valid_to, current: scd2.current },
      guard: { maxDeleteShare: guard.max_delete_share, allowEmpty: guard.allow_empty },
      verify,
      schema: load.schema,
      ...(sensitive.length > 0 && { sensitive }),
      ...(onBadRow !== 'fail' && { onBadRow }),
      ...(onDuplicate && { onDuplicate }),
      ...(onError === 'continue' && { onError }),
      ...(nesting && { nesting }),
      ...(load.indexes && { indexes: load.indexes }),
      ...(load.foreign_keys && { foreignKeys: load.foreign_keys }),
      ...(deletes === 'soft' && { deletedAt: load.deleted_at ?? 'deleted_at' }),
      ...(load.batch_rows !== undefined && { batchRows: load.batch_rows }),
      ...(partitions && { partitions }),
      ...(newer !== undefined && { newer }),
      ...(stamp !== undefined && { stamp }),
    }
  })
}

/** What the load marks as sensitive; where it says nothing, what the extract does that it is, or any that its model may read. */
function sensitiveOf(
  { from, sensitive }: JobYaml['load'][string],
  extracts: Pick<ExtractSpec, 'name' | 'sensitive'>[],
): string[] {
  const own = extracts.filter(({ name }) => name === from)
  const marked = (own.length > 0 ? own : extracts).flatMap(extract => extract.sensitive ?? [])
  return [...new Set(sensitive ?? marked)]
}

function* loadProblems(
  load: JobYaml['load'][string],
  connector: Connector | undefined,
): Generator<{ key: string; message: string }> {
  const { mode, key, deletes } = load
  const modes = connector?.capabilities.modes
  if (modes && !modes.includes(mode))
    yield { key: 'mode', message: `${connector.name} knows ${modes.join(', ')}, not ${mode}` }
  if (key.length === 0 && mode !== 'replace') yield { key: 'key', message: `mode ${mode} needs a key` }
  for (const option of ['compare', 'ignore', 'insert_only'] as const)
    if (load[option].length > 0 && !isFor(option, mode))
      yield { key: option, message: `has no meaning in mode ${mode}; take it away` }
  if (load.partition_by.length === 0 && mode === 'partition')
    yield {
      key: 'partition_by',
      message: 'mode partition needs the columns that say which partition a row is in',
    }
  if (load.partitions && connector && !connector.capabilities.partitions)
    yield { key: 'partitions', message: `${connector.name} keeps no partitions` }
  if (deletes !== 'keep' && !isFor('deletes', mode))
    yield { key: 'deletes', message: `goes with mode merge or scd2, not ${mode}` }
  if (load.batch_rows !== undefined && !isFor('batch_rows', mode))
    yield { key: 'batch_rows', message: `mode ${mode} exchanges its rows in one commit` }
  if (load.indexes && connector && !connector.capabilities.indexes)
    yield { key: 'indexes', message: `${connector.name} keeps no indexes` }
  if (load.foreign_keys && connector && !connector.capabilities.foreignKeys)
    yield {
      key: 'foreign_keys',
      message: `${connector.name} keeps no foreign keys that loads could live with`,
    }
  if (load.on_bad_row === 'quarantine' && connector && !connector.capabilities.fits)
    yield { key: 'on_bad_row', message: `${connector.name} takes all rows of a load or none` }
  if (load.on_duplicate !== undefined && key.length === 0)
    yield { key: 'on_duplicate', message: 'needs a key: without one, no two rows are the same' }
  if (load.deleted_at !== undefined && (deletes !== 'soft' || !isFor('deleted_at', mode)))
    yield { key: 'deleted_at', message: 'goes with mode merge and deletes: soft' }
  if (load.scd2 && !isFor('scd2', mode)) yield { key: 'scd2', message: `goes with mode scd2, not ${mode}` }
}
