import { didYouMean } from '../nearest.ts'
import { type Duck, quote, quoteName } from './duckdb.ts'
import type { Fault } from './faults.ts'
import type { SqlSources, Variables } from './model.ts'
import { LAST_VALUES, RUN_AT } from './ownVariables.ts'
import { placeOf, tokensOf } from './text.ts'

/** By the name of a set check. */
export type LastValues = Record<string, number>

const CALL = /\bgetvariable\s*\(\s*'([^']*)'/gi

/** Statements that give a session a job's variables, the run's time and what checks gave before. */
export const variablesSql = (vars: Variables, runAt: Date, last: LastValues = {}): string[] => [
  ...Object.entries(vars).map(
    ([name, value]) =>
      `SET VARIABLE ${quoteName(name)} = ${typeof value === 'string' ? quote(value) : String(value)}`,
  ),
  `SET VARIABLE ${RUN_AT} = TIMESTAMPTZ ${quote(runAt.toISOString())}`,
  `SET VARIABLE ${LAST_VALUES} = MAP {${Object.entries(last)
    .map(([name, value]) => `${quote(name)}: ${value}::DOUBLE`)
    .join(', ')}}::MAP(VARCHAR, DOUBLE)`,
]

export async function setVariables(
  duck: Duck,
  vars: Variables,
  runAt: Date,
  last?: LastValues,
): Promise<void> {
  for (const statement of variablesSql(vars, runAt, last)) await duck.run(statement)
}

/** Names of the variables that some SQL asks for; undefined where it works one out, so that it may be any. */
export function variablesIn(texts: string[]): string[] | undefined {
  const names = new Set<string>()
  for (const sql of texts) {
    const words = [...tokensOf(sql)].map(({ text }) => text)
    for (const [index, word] of words.entries()) {
      if (word.replaceAll('"', '').toLowerCase() !== 'getvariable') continue
      const name = /^'([^']*)'$/.exec(words[index + 2] ?? '')?.[1]
      if (name === undefined || words[index + 3] !== ')') return undefined
      names.add(name)
    }
  }
  return [...names]
}

/** Queries that ask for variables that are not there: DuckDB would answer NULL. */
export function variableFaults({ vars = {}, models, checks, macros }: SqlSources): Fault[] {
  const faults: Fault[] = []
  const names = [RUN_AT, LAST_VALUES, ...Object.keys(vars)]
  for (const { file, sql } of [...models, ...checks, ...macros])
    for (const { 1: name = '', index } of sql.matchAll(CALL))
      if (!names.includes(name))
        faults.push({
          file,
          place: placeOf(sql, index),
          message: `there is no variable ${name}${didYouMean(name, names)}`,
          hint: `Give it a value in job.yaml: vars: { ${name}: … }.`,
        })
  return faults
}
