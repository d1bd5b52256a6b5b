import type { Key, KeyColumn, KeyPosition } from './keys.ts'

/**
 * Places that may lie about halfway between two keys, the likeliest first. None need be a row's key. The server
 * has the last word on whether one lies between: it alone knows the collation.
 */
export function midpoints(key: Key, low: KeyPosition, high: KeyPosition): KeyPosition[] {
  return key.columns.flatMap((column, index) => {
    if (low[index] === high[index]) return []
    const prefix = low.slice(0, index)
    return [...new Set(between(column, low[index]!, high[index]!))].map(value => [...prefix, value])
  })
}

function between({ kind, at }: KeyColumn, low: string, high: string): string[] {
  switch (kind) {
    case 'int':
      return [String((BigInt(low) + BigInt(high)) >> 1n)]
    case 'decimal':
      return [decimalBetween(low, high)]
    case 'date':
    case 'datetime':
      return momentBetween(kind, low, high)
    case 'bytes':
      return [bytesBetween(low, high)]
    case 'text':
      // In bytes of a character set that we do not know, a mean would be no character.
      return at === undefined ? [] : textBetween(low, high)
    case 'other':
      return []
  }
}

function decimalBetween(low: string, high: string): string {
  const scale = Math.max(...[low, high].map(text => (text.split('.')[1] ?? '').length))
  const scaled = (text: string) => {
    const [whole = '', fraction = ''] = text.split('.')
    return BigInt(whole + fraction.padEnd(scale, '0'))
  }
  const middle = (scaled(low) + scaled(high)) >> 1n
  const digits = String(middle < 0n ? -middle : middle).padStart(scale + 1, '0')
  const cut = digits.length - scale
  return `${middle < 0n ? '-' : ''}${digits.slice(0, cut)}${scale > 0 ? `.${digits.slice(cut)}` : ''}`
}

// Zero dates and days that no calendar has are no times of ours: such a range is cut elsewhere or not at all.
function momentBetween(kind: 'date' | 'datetime', low: string, high: string): string[] {
  const midnight = kind === 'date' ? 'T00:00:00' : ''
  const [from, to] = [low, high].map(text => Date.parse(`${text.slice(0, 23).replace(' ', 'T')}${midnight}Z`))
  if (from === undefined || to === undefined || Number.isNaN(from + to)) return []
  const text = new Date(Math.floor((from + to) / 2)).toISOString()
  return [kind === 'date' ? text.slice(0, 10) : text.slice(0, 23).replace('T', ' ')]
}

function bytesBetween(low: string, high: string): string {
  const length = Math.max(low.length, high.length) + 2
  const number = (hex: string) => BigInt(`0x${hex.padEnd(length, '0')}`)
  const middle = ((number(low) + number(high)) >> 1n).toString(16).padStart(length, '0')
  return middle.replace(/(00)+$/, '').toUpperCase()
}

const hexOf = (text: string) => Buffer.from(text, 'utf8').toString('hex').toUpperCase()

function textBetween(low: string, high: string): string[] {
  const [from, to] = [low, high].map(hex => Buffer.from(hex, 'hex').toString('utf8'))
  const positions: string[] = []
  // Where a collation takes large and small letters for one, their codes mislead.
  for (const fold of [String, (text: string) => text.toUpperCase(), (text: string) => text.toLowerCase()])
    positions.push(...codesBetween(fold(from!), fold(to!)))
  return positions.map(hexOf)
}

function codesBetween(low: string, high: string): string[] {
  const [from, to] = [[...low], [...high]]
  let same = 0
  while (same < to.length && from[same] === to[same]) same++
  const prefix = to.slice(0, same).join('')
  const code = (character: string | undefined) => character?.codePointAt(0) ?? 0x20
  const [a, b] = [code(from[same]), code(to[same])]
  const middle = (x: number, y: number) => {
    const mean = Math.floor((x + y) / 2)
    return String.fromCodePoint(mean >= 0xd800 && mean < 0xe000 ? 0xd7ff : mean)
  }
  const positions: string[] = []
  if (Math.abs(b - a) > 1) positions.push(prefix + middle(a, b))
  // Neighbours: everything that begins like the low one, or what follows its first letter halfway to the end.
  if (to[same] !== undefined) positions.push(prefix + to[same])
  if (from[same] !== undefined) positions.push(prefix + from[same] + middle(code(from[same + 1]), 0x7f))
  return positions
}
