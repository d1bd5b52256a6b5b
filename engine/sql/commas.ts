import type { Described } from './checkColumns.ts'
import type { Fault } from './faults.ts'
import type { SqlGraph } from './model.ts'
import { firstPlace, isGenerated } from './parse.ts'
import { selectsIn, sidesBelow } from './selects.ts'
import { charactersIn, placeOf, tokensOf } from './text.ts'

const bare = (text: string) => text.replace(/^"(.*)"$/s, '$1').toLowerCase()

/** Outputs that get the name of a column without AS: a comma may be missing, and the column with it. */
export function missingCommas(
  { models, checks, queries }: SqlGraph,
  columns: ReadonlyMap<string, Described[]>,
): Fault[] {
  const found: Fault[] = []
  for (const { file, sql } of [...models, ...checks]) {
    const query = queries.get(file)
    if (!query || isGenerated(file)) continue
    const tokens = [...tokensOf(sql)]
    for (const { node, ctes } of selectsIn(query.tree)) {
      const known = sidesBelow(node.from_table as never, ctes, [...columns.keys()]).flatMap(({ table }) =>
        (columns.get(table ?? '') ?? []).map(({ name }) => ({ name: name.toLowerCase(), table })),
      )
      for (const output of (node.select_list as (typeof node)[] | undefined) ?? []) {
        const name = output.alias?.toLowerCase()
        const place = firstPlace(output)
        const owner = known.find(column => column.name === name)
        if (!name || !owner || place === undefined || output.column_names?.at(-1)?.toLowerCase() === name)
          continue
        const start = charactersIn(sql, place)
        const at = tokens.findIndex(
          (token, index) =>
            token.start > start &&
            bare(token.text) === name &&
            /^(,|FROM|\)|;|)$/i.test(tokens[index + 1]?.text ?? ''),
        )
        if (at < 0 || !/[\w"')\]]$/.test(tokens[at - 1]!.text) || /^AS$/i.test(tokens[at - 1]!.text)) continue
        const text = sql.slice(start, tokens[at - 1]!.start + tokens[at - 1]!.text.length)
        const shown = text.length > 40 || text.includes('\n') ? 'a column' : text
        const written = tokens[at]!.text
        found.push({
          file,
          place: placeOf(sql, tokens[at]!.start),
          message: `${shown} gets the name ${written}, which is a column of ${owner.table}: is a comma missing before ${written}?`,
          hint: `Write a comma where both are meant; AS ${written} where it is only a name.`,
        })
      }
    }
  }
  return found
}
