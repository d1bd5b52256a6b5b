import { type Brought, fit, isOwn, madeType, type TargetColumn } from './merge.ts'

/** What texts of a type, or in it, the server rounds or leaves out, by the type's name; `v` stands for the text. */
const LOSSES: [type: RegExp, loss: string][] = [
  [/^(?:interval|time|ts(?:tz)?(?:multi)?range)/, String.raw`v ~ '[.]\d{6}\d*[1-9]'`],
  [/^date/, String.raw`v ~ '\d[ T][\d:]*[1-9]'`],
  [/^time /, String.raw`v ~ '(^|[^.\d])\d{4,}-\d'`],
  [/^time without/, String.raw`v ~ '\d[+-]'`],
  [/^(?:timestamp without|ts(?:multi)?range)/, String.raw`v ~ ':[\d:.]*[+-][\d:]*[1-9]'`],
  // No double has more than 17 digits that tell it from others.
  [
    /^(?:double precision|real|point|line|lseg|box|path|polygon|circle)/,
    String.raw`v ~ '[1-9]([.]?\d){16,}[.]?[1-9]'`,
  ],
  // Texts of floats are the shortest that tell them from other floats, or what those are as doubles.
  [
    /^real\[\]$/,
    '(v::real[]::text::double precision[] IS DISTINCT FROM v::double precision[] AND v::real[]::double precision[] IS DISTINCT FROM v::double precision[])',
  ],
]

/** SQL condition of staged texts that a column parses, and does not hold exactly; undefined where it holds all that it takes. */
export function inexactSql(brought: Brought, column: TargetColumn, value: string): string | undefined {
  const { native } = column
  if (fit(brought, column) !== 'parse' || isOwn(brought, column) || madeType(brought) === native)
    return undefined
  const losses = LOSSES.filter(([type]) => type.test(native)).map(([, loss]) =>
    loss.replaceAll(/\bv\b/g, () => `${value}::text`),
  )
  return losses.length > 0 ? `(${losses.join(' OR ')})` : undefined
}
