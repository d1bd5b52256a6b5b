import { REJECTED } from '../batch/builder.ts'
import type { Part } from '../contracts/staging.ts'
import type { PlannedRead } from '../plan/plan.ts'
import { ownFile, type RunContext } from '../runtime/context.ts'
import { quoteName } from '../sql/duckdb.ts'
import { GONE, type Image, imageSql, latestSql, type Night } from '../staging/image.ts'
import { copyFile, copyParts } from '../staging/parts.ts'
import { filesSql } from '../staging/read.ts'
import { rowsIn } from '../staging/store.ts'
import { columnNamed } from '../types/logical.ts'

/** Nights that an image may have until they are folded. */
const MOST_NIGHTS = 24

/**
 * The nights of a read's image with those behind the first as one; undefined where there are at most so many. Where that one has half as
 * many rows as the first, the image is written anew: each row is copied a few times at most. A night with
 * rejected rows stays as it is: a correction may still be made of them.
 */
export async function foldNights(
  context: RunContext,
  read: PlannedRead,
  most = MOST_NIGHTS,
): Promise<Night[] | undefined> {
  const { base, key, accumulates } = read
  if (!base || base.image.nights.length <= most || key.length === 0 || accumulates) return undefined
  const { image } = base
  const folded: Night[] = []
  let clean: Night[] = []
  const end = async () => {
    if (clean.length > 1) folded.push(await merged(context, read, image, clean, folded.length))
    else folded.push(...clean)
    clean = []
  }
  for (const [index, night] of image.nights.entries()) {
    const isClean = await hasNoRejects(context, night)
    if (isClean && index > 0) {
      clean.push(night)
      continue
    }
    await end()
    folded.push(night)
  }
  await end()
  const [first, ...rest] = folded
  const others = rest.reduce((sum, { parts, gone = [] }) => sum + rowsIn(parts) + rowsIn(gone), 0)
  if (rest.length > 1 || !(await hasNoRejects(context, first!)) || others < rowsIn(first!.parts) / 2)
    return folded
  const whole = imageSql(context.root, image, read)
  const parts = await copyParts(context, whole, ownFile(context, `raw/${read.extract}.folded/whole`))
  return [nightOf(context, read, image, filled(parts))]
}

async function hasNoRejects({ duck, root }: RunContext, { columns, parts, out }: Night): Promise<boolean> {
  if (out) return false
  if (parts.length === 0 || !columnNamed(columns, REJECTED)) return true
  const [found] = await duck.rows(
    `SELECT count(*) AS n FROM ${filesSql(root, parts)} WHERE ${REJECTED} IS NOT NULL`,
  )
  return Number(found!.n) === 0
}

async function merged(
  context: RunContext,
  read: PlannedRead,
  image: Image,
  nights: Night[],
  number: number,
): Promise<Night> {
  const latest = latestSql(context.root, image, read, nights)
  const keys = read.key.map(quoteName).join(', ')
  const folder = `raw/${read.extract}.folded`
  const parts = await copyParts(
    context,
    `SELECT * EXCLUDE (${GONE}) FROM (${latest}) WHERE NOT ${GONE}`,
    ownFile(context, `${folder}/rows-${number}`),
  )
  const gone = await copyFile(
    context,
    `SELECT ${keys} FROM (${latest}) WHERE ${GONE}`,
    ownFile(context, `${folder}/gone-${number}`, '.parquet'),
  )
  return nightOf(context, read, image, filled(parts), filled([gone]))
}

const filled = (parts: Part[]) => parts.filter(({ rows }) => rows > 0)

function nightOf({ run }: RunContext, { key }: PlannedRead, image: Image, parts: Part[], gone: Part[] = []) {
  const columns = image.columns.filter(({ name }) => name !== REJECTED)
  return { run, columns, parts, ...(gone.length > 0 && { gone }), distinctBy: key }
}
