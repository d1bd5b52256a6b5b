/** A number, or a text by its order. */
export type Value = number | string

/** A point between values: before or after one; undefined: before all, or after all. */
type Cut = { value: Value; after: boolean } | undefined

/** Values of one kind, as ranges in order; and whether NULL is one of them. */
export interface ValueSet {
  ranges: { from: Cut; to: Cut }[]
  isNull: boolean
}

export const NOTHING: ValueSet = { ranges: [], isNull: false }
export const NULL_ONLY: ValueSet = { ranges: [], isNull: true }
export const NOT_NULL: ValueSet = { ranges: [{ from: undefined, to: undefined }], isNull: false }

/** The values from one to another, both of them in it unless they are `open`; without a bound where it is undefined. */
export const between = (
  least: Value | undefined,
  most: Value | undefined,
  open: { least?: boolean; most?: boolean } = {},
): ValueSet => {
  if (
    least !== undefined &&
    most !== undefined &&
    (least > most || (least === most && (open.least || open.most)))
  )
    return NOTHING
  const from = least === undefined ? undefined : { value: least, after: open.least === true }
  const to = most === undefined ? undefined : { value: most, after: open.most !== true }
  return { ranges: [{ from, to }], isNull: false }
}

/** Some values. */
export const points = (values: readonly Value[]): ValueSet => ({
  ranges: [...new Set(values)]
    .sort((a, b) => (a < b ? -1 : 1))
    .map(value => ({ from: { value, after: false }, to: { value, after: true } })),
  isNull: false,
})

export const both = (a: ValueSet, b: ValueSet): ValueSet => combined(a, b, (one, other) => one && other)
export const either = (a: ValueSet, b: ValueSet): ValueSet => combined(a, b, (one, other) => one || other)
export const without = (a: ValueSet, b: ValueSet): ValueSet => combined(a, b, (one, other) => one && !other)

export const isEmpty = ({ ranges, isNull }: ValueSet): boolean => ranges.length === 0 && !isNull

/** Whether the values of two sets have one order: all are numbers, or all texts. */
export function isOneKind(...sets: ValueSet[]): boolean {
  const values = sets.flatMap(({ ranges }) => ranges.flatMap(({ from, to }) => [from, to]))
  return new Set(values.flatMap(cut => (cut ? typeof cut.value : []))).size < 2
}

function combined(a: ValueSet, b: ValueSet, has: (a: boolean, b: boolean) => boolean): ValueSet {
  const cuts = [a, b]
    .flatMap(({ ranges }) => ranges.flatMap(({ from, to }) => [from, to]))
    .filter(cut => cut !== undefined)
    .sort(compared)
    .filter((cut, index, all) => index === 0 || compared(all[index - 1]!, cut) !== 0)
  const [inA, inB] = [holder(a), holder(b)]
  const ranges: ValueSet['ranges'] = []
  for (let index = 0; index <= cuts.length; index++) {
    const [from, to] = [cuts[index - 1], cuts[index]]
    const isHeld = has(inA(from, to), inB(from, to))
    if (!isHeld) continue
    const last = ranges.at(-1)
    if (last && index > 0 && last.to === from) last.to = to
    else ranges.push({ from, to })
  }
  return { ranges, isNull: has(a.isNull, b.isNull) }
}

/** Says of cuts that lie next to each other, asked for in order, whether a set has all between them. */
function holder({ ranges }: ValueSet): (from: Cut, to: Cut) => boolean {
  let next = 0
  return (from, to) => {
    while (ranges[next]?.to !== undefined && from !== undefined && compared(ranges[next]!.to!, from) <= 0)
      next++
    const range = ranges[next]
    return (
      range !== undefined &&
      (range.from === undefined || (from !== undefined && compared(range.from, from) <= 0)) &&
      (range.to === undefined || (to !== undefined && compared(range.to, to) >= 0))
    )
  }
}

const compared = (a: NonNullable<Cut>, b: NonNullable<Cut>): number =>
  a.value < b.value ? -1 : a.value > b.value ? 1 : Number(a.after) - Number(b.after)
