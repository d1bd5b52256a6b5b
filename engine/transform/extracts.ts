import { REJECTED } from '../batch/builder.ts'
import type { Part, StagedFile } from '../contracts/staging.ts'
import { taskName } from '../contracts/taskName.ts'
import type { Extracted } from '../extract/extracted.ts'
import { imageOf } from '../extract/images.ts'
import { extractKeyPolicy } from '../plan/keyPolicy.ts'
import type { PlannedRead } from '../plan/plan.ts'
import type { Tally } from '../quality/gate.ts'
import {
  findLosers,
  KEY_PRESENT,
  KEY_UNIQUE,
  LOSER,
  nullKeysSql,
  settleDuplicates,
} from '../quality/keyRules.ts'
import { type Findings, type Found, quarantine } from '../quality/quarantine.ts'
import { ownFile, type RunContext } from '../runtime/context.ts'
import type { Corrected } from '../runtime/correction.ts'
import type { FailureScope } from '../runtime/failureScope.ts'
import { runTask } from '../runtime/task.ts'
import { quote, quoteName } from '../sql/duckdb.ts'
import { REJECT } from '../sql/words.ts'
import { allRows, filesBeside } from '../staging/dataSet.ts'
import { type Image, imageSql, plainParts } from '../staging/image.ts'
import { copyFile } from '../staging/parts.ts'
import { filesSql } from '../staging/read.ts'
import { rowsIn } from '../staging/store.ts'
import { type Column, columnNamed } from '../types/logical.ts'
import { correctExtract } from './correctExtract.ts'
import { extractSql } from './corrections.ts'
import type { JudgedExtract, Transformed } from './transformed.ts'

const EXACT_TYPES = 'exact types'

/**
 * Judges the rows that each extract read: values that no type holds exactly, and NULL in the key, go to the quarantine;
 * of rows with the same key one stays. Then corrections take the place of rejected rows.
 */
export async function judgeExtracts(
  context: RunContext,
  reads: PlannedRead[],
  extracted: Extracted[],
  failures: FailureScope,
): Promise<JudgedExtract[]> {
  const judged: JudgedExtract[] = []
  for (const read of reads) {
    const { extract } = read
    const found = await failures.attempt([extract], [extract], () => {
      const own = extracted.find(one => one.extract === extract)!
      return runTask(context, taskName('types', extract), run => judgeExtract(run, read, own), filesOf)
    })
    if (found) judged.push(found)
  }
  return judged
}

const filesOf = (judged: JudgedExtract): StagedFile[] => [
  ...filesBeside(judged),
  ...(judged.night.out ? [judged.night.out] : []),
]

/**
 * The rows of every table that this run judged. An extract that is loaded as it is counts once: its rows are judged
 * when they are read, and again as a data set. Where earlier runs have read most of them, tonight's count on their own.
 */
export function talliesOf(extracts: JudgedExtract[], sets: Transformed[]): Tally[] {
  const whole = (name: string) => extracts.find(one => one.name === name && one.account.earlier === 0)
  return [
    ...extracts.filter(({ name }) => !whole(name) || !sets.some(set => set.name === name)),
    ...sets.map(set => {
      const { name, rejected, marked } = set
      const read = whole(name)
      if (!read) return set
      return { name, rows: read.rows, rejected: rejected + read.rejected, marked: marked + read.marked }
    }),
  ]
}

async function judgeExtract(
  context: RunContext,
  read: PlannedRead,
  found: Extracted,
): Promise<JudgedExtract> {
  const { extract } = read
  const { superseded, out, ...judged } = await judgeRows(context, read, found)
  const known = { ...(out && { out }), ...(read.key.length > 0 && { distinctBy: read.key }) }
  const image = imageOf(context, read, found, known)
  const given = await context.corrections(extract)
  const { part, ...corrected } = given.length > 0 ? await correctExtract(context, read, image, given) : {}
  const rejected = judged.found?.rejected ?? 0
  const { rows, table, ...account } = await countRows(context, read, image, part?.file)
  return {
    name: extract,
    columns: read.columns.filter(({ name }) => name !== REJECTED),
    rows: found.rows,
    rejected,
    marked: rejected,
    checks: judged.found?.checks ?? [],
    ...(judged.found && { findings: judged.found.findings }),
    sideFiles: [...(judged.found?.sideFiles ?? []), ...(part ? [part] : [])],
    ...(given.length > 0 && { corrected: corrected as Corrected }),
    ...(part && { corrections: part.file }),
    night: { ...known, rows },
    account: {
      table: extract,
      read: found.rows,
      rejected,
      ...account,
      rows: table,
      superseded: superseded + account.superseded,
    },
  }
}

interface JudgedRows {
  found?: Found
  /** Of the night's rows, those superseded by another of the night. */
  superseded: number
  out?: Part
}

/** What types and keys say of the rows of the night, and the numbers of those that the table does without. */
async function judgeRows(context: RunContext, read: PlannedRead, { parts }: Extracted): Promise<JudgedRows> {
  if (parts.length === 0) return { superseded: 0 }
  const { root } = context
  const all = allRows(root, { parts })
  const staged = columnNamed(read.columns, REJECTED) !== undefined
  const exact = staged ? `(SELECT * FROM ${all} WHERE ${REJECTED} IS NULL)` : all
  const findings: Findings[] = staged ? [{ sql: inexactSql(all), category: 'FORMAT_ERROR' }] : []
  const key = read.unique ? [] : keyColumns(read)
  const nullKeys = nullKeysSql(key, exact)
  if (nullKeys) findings.push({ sql: nullKeys, category: 'DATA_INTEGRITY_ERROR' })
  const duplicates = key.length > 0 ? await duplicatesOf(context, read, exact) : undefined
  if (duplicates?.findings) findings.push(duplicates.findings)
  const columns = read.columns.map(({ name }) => name)
  const judged = { name: read.extract, rows: all, columns }
  const found = await quarantine(context, taskName('types', read.extract), judged, findings, [
    EXACT_TYPES,
    KEY_PRESENT,
    KEY_UNIQUE,
  ])
  const left = [
    ...(nullKeys ? [`SELECT row FROM (${nullKeys})`] : []),
    ...(duplicates ? [`SELECT ${LOSER.row} AS row FROM (${duplicates.losers})`] : []),
  ]
  if (left.length === 0) return { superseded: 0, ...(found && { found }) }
  const numbers = `SELECT DISTINCT row FROM (${left.join(' UNION ALL ')})`
  const out = await copyFile(context, numbers, ownFile(context, `raw/${read.extract}.out/rows`, '.parquet'))
  return {
    superseded: duplicates?.superseded ?? 0,
    ...(found && { found }),
    ...(out.rows > 0 && { out }),
  }
}

// One line a row: its values that the type of their column does not hold, and why.
function inexactSql(all: string): string {
  const shape = '[{"column":"VARCHAR","value":"VARCHAR","reason":"VARCHAR"}]'
  return `SELECT file_row_number AS row, ${quote(EXACT_TYPES)} AS check_name, ${quote(REJECT)} AS severity,
      list_aggregate(list_transform(from_json(${REJECTED}, ${quote(shape)}),
        lambda _nf_f: _nf_f.column || ' = ' || _nf_f.value || ' ' || _nf_f.reason), 'string_agg', '; ') AS reason
    FROM ${all} WHERE ${REJECTED} IS NOT NULL`
}

async function duplicatesOf(context: RunContext, read: PlannedRead, exact: string) {
  const { spec } = context
  const { extract, key, columns } = read
  const { policy, newest } = extractKeyPolicy(
    read,
    spec.extracts.find(({ name }) => name === extract)!,
    spec.loads,
  )
  const rows = `(SELECT * FROM ${exact} WHERE ${key.map(name => `${quoteName(name)} IS NOT NULL`).join(' AND ')})`
  const values = columns.filter(({ name }) => name !== REJECTED)
  const losers = await findLosers(
    context,
    { columns: values, key, newest, rows },
    `raw/${extract}.out/losers`,
  )
  if (!losers) return undefined
  const settled = await settleDuplicates(context.duck, {
    where: `extract.${extract}`,
    from: extract,
    key,
    policy,
    losers,
    rows,
    reads: [],
  })
  return { losers, ...settled }
}

/** Counts the rows of the table, of earlier runs, and those of them that tonight's replace or the source has no more. */
async function countRows(context: RunContext, read: PlannedRead, image: Image, corrections?: string) {
  const { duck, root } = context
  const count = async (sql: string, what = 'count(*)') => {
    const [row] = await duck.rows(`SELECT ${what} AS n FROM (${sql})`)
    return Number(row!.n)
  }
  const columns = keyColumns(read)
  const keys = `(${read.key.map(quoteName).join(', ')})`
  // Without a key its first column stands for the row.
  const seen = columns.length > 0 ? columns : image.columns.slice(0, 1)
  // Which row of a key is the newest makes no difference to how many there are.
  const { incremental, ...unordered } = read
  const table = (of: Image) => imageSql(root, { ...of, columns: seen }, unordered)
  const among = (files: string) => `${keys} IN (SELECT ${keys} FROM ${files})`
  const plain = plainParts(image, read)
  const rows = plain ? rowsIn(plain) : await count(table(image))
  const account = { earlier: 0, corrected: 0, superseded: 0, gone: 0, rows }
  const { base } = read
  if (base) {
    account.earlier = base.image.rows ?? (await count(table(base.image)))
    const night = image.nights.at(-1)!
    const { parts, gone = [] } = night
    if (!read.reused && columns.length > 0 && account.earlier > 0 && parts.length + gone.length > 0) {
      const now = `(${table({ ...image, nights: [{ ...night, gone: [] }] })})`
      const before = `SELECT ${among(now)} AS _nf_again, ${gone.length > 0 ? among(filesSql(root, gone)) : 'false'} AS _nf_gone FROM (${table(base.image)})`
      account.superseded = await count(`SELECT 1 FROM (${before}) WHERE _nf_again`)
      account.gone =
        gone.length > 0 ? await count(`SELECT 1 FROM (${before}) WHERE NOT _nf_again AND _nf_gone`) : 0
    }
  }
  if (corrections === undefined) return { ...account, table: rows }
  const corrected = filesSql(root, [{ file: corrections }])
  account.superseded += await count(`SELECT 1 FROM (${table(image)}) WHERE ${among(corrected)}`)
  return {
    ...account,
    corrected: await count(`SELECT 1 FROM ${corrected}`),
    table: await count(extractSql(root, image, read, corrections)),
  }
}

const keyColumns = ({ key, columns }: PlannedRead): Column[] => key.map(name => columnNamed(columns, name)!)
