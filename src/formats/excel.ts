import { readSheet } from 'read-excel-file/node'
import { badFile } from './bad.ts'
import { zipMembers } from './zip.ts'

/** Bytes that a workbook may have: its reader holds it whole. */
const LARGEST = 64 * 1024 * 1024
/** What is in it, unpacked. */
const UNPACKED = { most: 512 * 1024 * 1024, ratio: 200 }

/** A sheet as CSV: numbers as the file writes them, days as 2026-01-31, moments with their time. */
export async function* excelCsv(
  where: string,
  bytes: AsyncIterable<Buffer>,
  sheet: string | undefined,
): AsyncGenerator<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of bytes) {
    size += chunk.length
    if (size > LARGEST) throw badFile(where, `a workbook of over ${LARGEST / 1024 / 1024} MiB is not read`)
    chunks.push(chunk)
  }
  const workbook = Buffer.concat(chunks)
  // Its reader would unpack a bomb without asking.
  for await (const member of zipMembers(where, workbook, UNPACKED))
    for await (const _chunk of member.bytes()) {
    }
  let rows: unknown[][]
  try {
    rows = (await readSheet(workbook, sheet ?? 1, {
      parseNumber: text => text,
      trim: false,
    })) as unknown[][]
  } catch (cause) {
    throw badFile(where, `is not a readable workbook: ${(cause as Error).message}`, cause)
  }
  const width = Math.max(0, ...rows.map(row => row.length))
  for (const row of rows)
    yield Buffer.from(`${Array.from({ length: width }, (_, index) => field(row[index])).join(',')}\n`)
}

function field(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (value instanceof Date)
    return value
      .toISOString()
      .replace('T', ' ')
      .replace(/(\.000)?Z$/, '')
      .replace(/ 00:00:00$/, '')
  return `"${String(value).replaceAll('"', '""')}"`
}
