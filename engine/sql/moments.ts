import { nearest } from '../nearest.ts'
import type { SqlNode } from './parse.ts'
import type { ColumnOf, Pitfall } from './pitfalls.ts'

const FORMATTING = /^(strftime|strptime|try_strptime)$/
const DAY = /^\d{4}-\d\d-\d\d$/

/** What a time is written, read or compared by, and seldom should be. */
export function momentPitfall(node: SqlNode, columnOf: ColumnOf): Pitfall | undefined {
  return formatPitfall(node) ?? zonePitfall(node) ?? dayPitfall(node, columnOf)
}

function formatPitfall(node: SqlNode): Pitfall | undefined {
  const name = node.function_name?.toLowerCase() ?? ''
  if (node.type !== 'FUNCTION' || !FORMATTING.test(name)) return undefined
  const children = node.children as SqlNode[]
  // strftime() takes its two the other way round, too.
  const format = (name === 'strftime' ? children : children.slice(1)).find(each => textOf(each) !== undefined)
  const text = format && textOf(format)
  if (format === undefined || text === undefined) return undefined
  if (!text.includes('%'))
    return {
      node: format,
      message:
        name === 'strftime'
          ? `'${text}' has no % and is what every row gets, as it stands`
          : `'${text}' has no %: only this text itself is a time to ${name}()`,
      hint: `Write '${percented(text)}': a part of a time is % and a letter.`,
    }
  if (/%-?M/.test(text) && /%-?[Yydb]/.test(text) && !/%-?[HI]/.test(text))
    return {
      node: format,
      message: `%M in '${text}' is minutes`,
      hint: `A month is %m: '${text.replace(/%(-?)M/, '%$1m')}'.`,
    }
  if (/%-?[HI]\W?%-?m/.test(text))
    return {
      node: format,
      message: `%m in '${text}' is the month`,
      hint: `Minutes are %M: '${text.replace(/(%-?[HI]\W?%-?)m/, '$1M')}'.`,
    }
  return undefined
}

/** A time zone of a region that there is not: it is found out with the first value. */
function zonePitfall(node: SqlNode): Pitfall | undefined {
  const [zone] = node.function_name === 'timezone' ? (node.children as SqlNode[]) : []
  const name = zone && textOf(zone)
  if (name === undefined || !/^\w+\/\w+/.test(name)) return undefined
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return undefined
  } catch {
    const near = nearest(name, Intl.supportedValuesOf('timeZone'))
    return {
      node: zone!,
      message: `there is no time zone ${name}`,
      hint: near ? `Write '${near}'.` : "Write one such as 'Europe/Berlin'.",
    }
  }
}

/** Letters that other tools write the parts of a time with, in what strftime() has for them. */
const LETTERS: [RegExp, string][] = [
  [/YYYY|yyyy/, '%Y'],
  [/YY|yy/, '%y'],
  [/HH24|HH12|HH|hh/, '%H'],
  [/(?<=%H\W?)(MI|mi|MM|mm)/, '%M'],
  [/MON|Mon|MMM/, '%b'],
  [/MM|mm/, '%m'],
  [/DD|dd/, '%d'],
  [/SS|ss/, '%S'],
]

/** A format of letters as one of %; the usual one where it has none of them. */
function percented(text: string): string {
  const found = LETTERS.reduce((own, [letters, part]) => own.replace(letters, part), text)
  return found === text ? '%Y-%m-%d' : found
}

/** A time that is compared with a day alone: with its midnight. */
function dayPitfall(node: SqlNode, columnOf: ColumnOf): Pitfall | undefined {
  const [subject, until] =
    node.type === 'COMPARE_BETWEEN'
      ? [node.input, node.upper]
      : /^COMPARE_(EQUAL|LESSTHANOREQUALTO)$/.test(node.type ?? '')
        ? [node.left, node.right]
        : node.type === 'COMPARE_GREATERTHANOREQUALTO'
          ? [node.right, node.left]
          : []
  for (const [column, other] of [
    [subject, until],
    ...(node.type === 'COMPARE_EQUAL' ? [[until, subject]] : []),
  ] as [SqlNode | undefined, SqlNode | undefined][]) {
    const found = column?.type === 'COLUMN_REF' ? columnOf(column) : undefined
    const day = other && dayOf(other)
    if (!found || !day || !found.type.startsWith('TIMESTAMP')) continue
    const next = day === true ? 'the day after' : `'${after(day)}'`
    const shown = day === true ? 'last_day(…)' : day
    return node.type === 'COMPARE_EQUAL'
      ? {
          node,
          message: `${found.shown} is ${found.type}: only 00:00 of ${shown} is equal to it`,
          hint: `Write ${found.shown}::DATE = … for the whole day.`,
        }
      : {
          node,
          message: `${found.shown} is ${found.type}: of ${shown} only 00:00 is in it, and not the rest of the day`,
          hint: `Write ${node.type === 'COMPARE_BETWEEN' ? `${found.shown} >= … AND ` : ''}${found.shown} < ${next}.`,
        }
  }
  return undefined
}

function dayOf(node: SqlNode): string | true | undefined {
  if (node.function_name?.toLowerCase() === 'last_day') return true
  const text =
    node.type === 'OPERATOR_CAST' && (node.cast_type as { id: string }).id === 'DATE'
      ? textOf(node.child as SqlNode)
      : textOf(node)
  return text !== undefined && DAY.test(text) && !Number.isNaN(Date.parse(text)) ? text : undefined
}

const after = (day: string) => new Date(Date.parse(day) + 86_400_000).toISOString().slice(0, 10)

function textOf({ type, value }: SqlNode): string | undefined {
  const text = type === 'VALUE_CONSTANT' ? (value as { value?: unknown }).value : undefined
  return typeof text === 'string' ? text : undefined
}
