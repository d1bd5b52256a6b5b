import { EngineError } from '../../engine/errors.ts'
import { isMasked, isSensitive, type Mask } from '../../engine/mask.ts'
import { ownValue } from '../../engine/ownValue.ts'
import { counted } from '../../engine/plural.ts'
import type { ErrorRecord } from '../metadata/errorRecords.ts'
import { csvText, parseCsv, readCsv } from '../util/csv.ts'
import { cell, ofCell } from '../util/printable.ts'
import { shellWord } from '../util/shell.ts'

type Values = Record<string, string | null>

/**
 * Error records as CSV for a person to correct, portion by portion: `_id`, `_reason`, then the columns of all of them. Safe to
 * open in a spreadsheet and to show on a terminal, or with the `exact` bytes. `pages` is gone through twice: each row has
 * columns of its own. `shown`: a record as those may see it whom the CSV is for.
 */
export async function* csvOf(
  pages: () => AsyncIterable<ErrorRecord[]>,
  shown: (record: ErrorRecord) => ErrorRecord,
  exact = false,
): AsyncGenerator<string> {
  const columns = new Set<string>()
  for await (const page of pages())
    for (const { record } of page) for (const name of Object.keys(record)) columns.add(name)
  yield csvText([['_id', '_reason', ...[...columns].map(name => shownAs(name, exact))]])
  for await (const page of pages())
    yield csvText(
      page
        .map(shown)
        .map(({ id, reason, record }) => [
          id,
          shownAs(reason, exact),
          ...[...columns].map(name => shownAs(ownValue(record, name) ?? null, exact)),
        ]),
    )
}

const shownAs = (value: string | null, exact: boolean) => (value === null || exact ? value : cell(value))

/** Why a correction cannot be taken as it was sent: what stands for an unseen character is in the value itself, too. */
export const untold = (column: string): string =>
  `${column} has characters that are not seen, and nobody can tell which of them the corrected value has`

/** How such a value is corrected. */
export const byExact = ({ job, table_name }: ErrorRecord): string =>
  `Correct it in its exact bytes: nightfreight errors export ${shellWord(job)} ${shellWord(table_name)} --exact --out rows.csv && nightfreight errors reprocess ${shellWord(job)} --corrections rows.csv`

/** The ids of a corrected CSV. */
export const idsIn = (csv: string): string[] =>
  parseCsv(csv)
    .slice(1)
    .flatMap(([id]) => id ?? [])

/**
 * The values that a corrected CSV gives other than the records have, by id; lines that change nothing are left out, and those
 * of ids that are not `wanted`.
 * Fails with CONFIG_INVALID, naming the line, where it is none of {@link csvOf}'s.
 */
export function corrections(
  csv: string,
  file: string,
  records: Map<string, ErrorRecord>,
  mask: Mask,
  wanted?: readonly string[],
): Map<string, Values> {
  const [{ values: first } = { values: [] }, ...lines] = readCsv(csv)
  const columns = new Set([...records.values()].flatMap(({ record }) => Object.keys(record)))
  const known = new Map([...columns].map(name => [cell(name), name]))
  const header = first.map(name => (name === null ? null : (known.get(name) ?? name)))
  const invalid = (
    line: number,
    message: string,
    hint = 'Correct the file that nightfreight errors export wrote; keep its first line and the ids.',
  ) => {
    throw new EngineError('CONFIG_INVALID', `${file}:${line}: ${message}`, { hint })
  }
  if (header[0] !== '_id') invalid(1, `the first column is ${header[0] ?? 'missing'}, not _id`)
  // Rows may have columns of these names, too: those of the export stand first.
  const reasons = header.filter(name => name === '_reason').length
  const isOwn = (at: number, name: string | null) =>
    at === 0 ||
    ((name === '_id' || name === '_reason') && (at === header.indexOf(name) || !columns.has(name)))
  const found = new Map<string, Values>()
  const seen = new Set<string>()
  for (const { line: at, values: line } of lines) {
    const [id] = line
    if (wanted && !wanted.includes(id ?? '')) continue
    const record = records.get(id ?? '')
    if (!record) return invalid(at, `no open error record has the id ${id}`)
    if (seen.has(record.id)) invalid(at, `row ${id} is there twice`)
    seen.add(record.id)
    if (line.length !== header.length)
      invalid(at, `${counted(line.length, 'value')} where the first line has ${header.length}`)
    if (reasons === 1 && Object.hasOwn(record.record, '_reason'))
      invalid(1, `there is one column _reason: row ${id} has one of its own, behind that of the export`)
    const changed: [column: string, value: string | null][] = []
    for (const [column, name] of header.entries()) {
      if (isOwn(column, name)) continue
      if (name === null || !columns.has(name)) return invalid(1, `${record.table_name} has no column ${name}`)
      if (!Object.hasOwn(record.record, name)) {
        if (line[column] === null) continue
        return invalid(at, `row ${id} has no ${name}`)
      }
      const [was, now] = [record.record[name]!, line[column]!]
      if (now !== null && isMasked(now) && isSensitive(record.sensitive, name)) {
        if (now === mask.value(record.sensitive, name, was)) continue
        return invalid(at, `${name} is ${now}, which stands for a value of another row`)
      }
      // As it was exported, one way or the other.
      if (now === was || (now !== null && was !== null && now === cell(was))) continue
      const meant = now === null ? null : ofCell(now, was ?? '')
      if (meant === undefined) return invalid(at, untold(name), byExact(record))
      changed.push([name, meant])
    }
    if (changed.length > 0) found.set(record.id, Object.fromEntries(changed))
  }
  return found
}
