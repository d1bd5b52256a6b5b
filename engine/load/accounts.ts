import type { Loaded } from '../contracts/load.ts'
import type { Changes } from '../diff/changeSet.ts'
import {
  type Accounts,
  checkEquations,
  type Equation,
  type ExtractAccount,
  extractEquation,
  type LoadAccount,
  loadEquation,
  type ModelAccount,
} from '../quality/accounts.ts'
import type { OrderedModel } from '../sql/model.ts'
import { rowsIn } from '../staging/store.ts'
import type { JudgedExtract, Transformed } from '../transform/transformed.ts'

/**
 * What became of every row up to the change sets. Fails with ROWS_UNACCOUNTED where staged files, findings and change
 * sets do not agree on how many there are.
 */
export function accountBeforeLoad(
  extracts: JudgedExtract[],
  sets: Transformed[],
  models: OrderedModel[],
  changes: Changes[],
): Accounts {
  const accounts: Accounts = {
    extracts: extracts.map(({ account }) => account),
    models: modelAccounts(extracts, sets, models),
    loads: [],
  }
  checkEquations(
    [
      ...accounts.extracts.map(extractEquation),
      ...sets.flatMap(set => stagedEquation(set, accounts.extracts)),
      ...changes.flatMap(change => changeEquations(change, sets)),
    ],
    false,
  )
  return accounts
}

/**
 * What became of the rows of every load. Fails with ROWS_UNACCOUNTED where a target has not counted the rows that it
 * was sent.
 */
export function accountLoads(
  extracts: ExtractAccount[],
  sets: Transformed[],
  changes: Changes[],
  loaded: Loaded[],
): LoadAccount[] {
  const equations: Equation[] = []
  const accounts = loaded.map((counts): LoadAccount => {
    const { table, to, staged, inserted, updated, unchanged, older } = counts
    const {
      load,
      found,
      counts: rows,
    } = changes.find(change => change.load.table === table && change.load.to === to)!
    const set = sets.find(({ name }) => name === load.from)!
    const extract = extracts.find(one => one.table === load.from)
    equations.push({
      where: `load.${table}`,
      left: [[staged, 'sent']],
      right: [
        [inserted, 'inserted'],
        [updated, 'updated'],
        [unchanged, 'unchanged there'],
        [older, 'older than there'],
      ],
    })
    return {
      table,
      to,
      // Of an extract that is loaded as it is, from the lanes on.
      read: extract ? extract.read + extract.earlier + extract.corrected - extract.gone : set.rows,
      loaded: inserted + updated,
      unchanged: rows.rows - staged + unchanged,
      rejected: (found?.rejected ?? set.rejected) + (extract?.rejected ?? 0),
      superseded: rows.superseded + older + (extract?.superseded ?? 0),
      keptGone: rows.keptGone,
    }
  })
  checkEquations([...equations, ...accounts.map(loadEquation)], true)
  return accounts
}

function modelAccounts(
  extracts: JudgedExtract[],
  sets: Transformed[],
  models: OrderedModel[],
): ModelAccount[] {
  // What a reader sees of a table; a view's readers see what it sees.
  const seen = (name: string): number => {
    const set = sets.find(one => one.name === name)
    if (set) return set.rows - set.rejected
    const extract = extracts.find(one => one.name === name)
    if (extract) return extract.account.rows
    return rowsRead(models.find(one => one.name === name))
  }
  const rowsRead = (model: OrderedModel | undefined) =>
    (model?.reads ?? []).reduce((sum, name) => sum + seen(name), 0)
  return models.flatMap(model => {
    if (model.extract) return []
    const set = sets.find(({ name }) => name === model.name)
    return set ? [{ table: model.name, in: rowsRead(model), out: set.rows, rejected: set.rejected }] : []
  })
}

function stagedEquation({ name, rows }: Transformed, extracts: ExtractAccount[]): Equation[] {
  const extract = extracts.find(({ table }) => table === name)
  if (!extract) return []
  return [{ where: `model.${name}`, left: [[extract.rows, 'in the table']], right: [[rows, 'staged']] }]
}

function changeEquations(
  { load, whole, list, upserts, counts, found, table }: Changes,
  sets: Transformed[],
): Equation[] {
  const where = `diff.${load.table}`
  const equations: Equation[] = [
    {
      where,
      left: [[rowsIn(table.parts), `rows of ${load.from}`]],
      right: [
        [counts.rows, 'compared'],
        [found?.rejected ?? sets.find(({ name }) => name === load.from)!.rejected, 'rejected'],
        [counts.superseded, 'superseded'],
      ],
    },
  ]
  const sent: [number, string] = [rowsIn(upserts), 'staged for the load']
  if (!list) equations.push({ where, left: [sent], right: [[counts.rows, 'rows, all of them']] })
  else if (!whole && load.mode !== 'partition')
    equations.push({
      where,
      left: [sent],
      right: [
        [counts.inserts, 'to insert'],
        [counts.updates, 'to update'],
      ],
    })
  return equations
}
