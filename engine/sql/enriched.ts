import type { Enrichment } from '../contracts/enrichment.ts'
import { didYouMean } from '../nearest.ts'
import { stagedType } from '../types/duckType.ts'
import { columnNamed, typeName } from '../types/logical.ts'
import type { Fault } from './faults.ts'
import type { Model } from './model.ts'

/** What a column is, by its type of DuckDB's. */
interface Described {
  name: string
  type: string
}

/** Why a function cannot be given the rows of a query; undefined where it can. */
export function enrichFault(
  { file, enrich }: Pick<Model, 'file'> & { enrich: Enrichment },
  columns: Described[],
): Fault | undefined {
  const module = enrich.own?.file ?? 'it'
  for (const take of enrich.takes) {
    const found = columnNamed(columns, take.name)
    const names = columns.map(({ name }) => name)
    if (!found)
      return {
        file,
        message: `${module} takes ${take.name}, which is none of its columns${didYouMean(take.name, names)}`,
        hint: `Its columns: ${names.join(', ')}. Another name, or a value of several, is given by a model that is read from.`,
      }
    const staged = stagedType(found.type)
    const isJson = take.duck === 'JSON' && isNested(staged)
    if (staged !== typeName(take.type) && !isJson)
      return {
        file,
        message: `${module} takes ${take.name} as ${take.native}, and it is ${found.type}`,
        hint: isNested(staged)
          ? `Declare it so, and parse its text: takes = { ${take.name}: 'JSON' }.`
          : `Declare it so: takes = { ${take.name}: '${staged}' }; or cast it in a model: ${take.name}::${take.native} AS ${take.name}.`,
      }
  }
  const twice = enrich.gives.find(({ name }) => columnNamed(columns, name))
  return (
    twice && {
      file,
      message: `${module} gives ${twice.name}, and a column of that name is there already`,
      hint: 'Give it another name in `gives`.',
    }
  )
}

/** Whether a staged type is a list, a struct or a map. */
const isNested = (staged: string | undefined) =>
  staged !== undefined && /[[(]/.test(staged) && !/^DECIMAL\(\d+,\d+\)$/.test(staged)
