import type { PlannedLoad } from '../../../engine/contracts/load.ts'
import type { ComparedColumn } from '../../../engine/contracts/verification.ts'
import type { Column } from '../../../engine/types/logical.ts'
import { joinedSql } from '../../../engine/verify/checksum.ts'
import { quoteIdent } from './connect.ts'
import { fit, type TargetColumn } from './merge.ts'

/** Which of a load's columns the table keeps so that their text can be made again; why others do not. */
export function comparable(
  { columns }: PlannedLoad,
  found: TargetColumn[],
): { columns: ComparedColumn[]; notes: string[] } {
  const notes: string[] = []
  const compared = columns.flatMap((column): ComparedColumn[] => {
    const target = found.find(({ name }) => name === column.name)
    const reason = target ? obstacle(column, target) : 'the table does not have it'
    if (!reason) return [target!.typname === 'bpchar' ? { ...column, unpadded: true } : column]
    notes.push(`column ${column.name} is not compared: ${reason}`)
    return []
  })
  return { columns: compared, notes }
}

function obstacle({ type }: Column, column: TargetColumn): string | undefined {
  const way = fit(type, column)
  if (!way) return `its type is ${column.native} now`
  if (type.kind === 'text')
    return way === 'assign' || column.category === 'E'
      ? undefined
      : `${column.native} has a notation of its own`
  return type.kind !== 'binary' && column.category === 'S' ? `${column.native} keeps it as text` : undefined
}

/** SQL of the checksum of row `t`, as the engine's `delta/checksum.ts` defines it. */
export function checksum(compared: ComparedColumn[], found: TargetColumn[]): string {
  const texts = compared.map(column => {
    const target = found.find(({ name }) => name === column.name)!
    return `coalesce(${canonical(column, target, `t.${quoteIdent(column.name)}`)} || '|', '~|')`
  })
  return `('x' || left(md5(convert_to(${joinedSql(texts) || "''"}, 'UTF8')), 15))::bit(60)::bigint`
}

function canonical({ type }: ComparedColumn, target: TargetColumn, value: string): string {
  switch (type.kind) {
    case 'bool':
      return `${value}::text`
    case 'int':
      return scaled(value, target, 0)
    case 'decimal':
      return scaled(value, target, type.scale)
    case 'float':
      return `CASE WHEN ${value} = 'NaN' THEN 'NaN' ELSE encode(float8send(${value}::float8), 'hex') END`
    case 'text':
      return `length(${value}::text)::text || ':' || ${value}::text`
    case 'binary':
      return `encode(${value}, 'hex')`
    case 'date': {
      const days = finite(value, `(${value}::date - date '1970-01-01')::text`)
      return target.typname === 'date'
        ? days
        : `CASE WHEN ${value}::date = ${value} THEN ${days} ELSE ${value}::text END`
    }
    case 'time':
      return micros(value)
    case 'timestamp':
      return finite(value, micros(value))
  }
}

// A column of a larger scale may hold digits that were never loaded: they must not be cut off.
function scaled(value: string, { typname, typmod }: TargetColumn, scale: number): string {
  if (typname.startsWith('int')) return `${value}::text`
  if (typname === 'numeric' && typmod >= 4 && (((typmod - 4) & 0x7ff) ^ 1024) - 1024 === scale)
    return `${value}::text`
  const number = `${value}::numeric`
  return `CASE WHEN ${number} = round(${number}, ${scale}) THEN round(${number}, ${scale}) ELSE ${number} END::text`
}

const micros = (value: string) => `(extract(epoch FROM ${value}) * 1000000)::bigint::text`

const finite = (value: string, text: string) =>
  `CASE WHEN isfinite(${value}) THEN ${text} ELSE ${value}::text END`
