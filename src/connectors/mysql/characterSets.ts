import { ask, type Session } from './connect.ts'

/** What gives bytes of a character set as UTF-8; undefined where Unicode has no counterpart. */
export type Convert = (bytes: Buffer, from: number, to: number) => Buffer | undefined

/** Sets whose bytes are UTF-8 as they lie. */
const UTF8 = ['utf8mb4', 'utf8mb3', 'utf8', 'ascii', 'binary']

/** Sets of wider units. */
const WIDE: Record<string, Convert> = {
  ucs2: (bytes, from, to) => utf16(Buffer.from(bytes.subarray(from, to)).swap16()),
  utf16: (bytes, from, to) => utf16(Buffer.from(bytes.subarray(from, to)).swap16()),
  utf16le: (bytes, from, to) => utf16(bytes.subarray(from, to)),
  utf32(bytes, from, to) {
    let text = ''
    for (let at = from; at + 4 <= to; at += 4) {
      const code = bytes.readUInt32BE(at)
      if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return undefined
      text += String.fromCodePoint(code)
    }
    return Buffer.from(text, 'utf8')
  },
}

function utf16(bytes: Buffer): Buffer | undefined {
  const text = bytes.toString('utf16le')
  return text.isWellFormed() ? Buffer.from(text, 'utf8') : undefined
}

/** The character sets of a server: which a collation's number means, and how their bytes become UTF-8, as the server does it. */
export class CharacterSets {
  private readonly names: Map<number, string>
  private readonly converts = new Map<string, Convert | null | undefined>()

  private constructor(names: Map<number, string>) {
    this.names = names
  }

  static async of(session: Session): Promise<CharacterSets> {
    const names = new Map<number, string>()
    const note = (rows: { id: string | null; name: string }[]) => {
      for (const { id, name } of rows) if (id !== null) names.set(Number(id), name)
    }
    note(await ask(session, 'SELECT id, character_set_name AS name FROM information_schema.collations'))
    // MariaDB has collations of several sets, whose numbers stand here.
    const more = ask<{ id: string; name: string }>(
      session,
      'SELECT id, character_set_name AS name FROM information_schema.collation_character_set_applicability',
    )
    note(await more.catch(() => []))
    const found = await ask<{ name: string; most: string }>(
      session,
      'SELECT character_set_name AS name, maxlen AS most FROM information_schema.character_sets',
    )
    const widths = new Map(found.map(({ name, most }) => [name, Number(most)]))
    const sets = new CharacterSets(names)
    for (const name of new Set(names.values())) await sets.learn(session, name, widths.get(name))
    return sets
  }

  name(collation: number): string {
    return this.names.get(collation) ?? `collation ${collation}`
  }

  /** What converts a set; null: it is UTF-8; undefined: its bytes are known to the server only. */
  convert(name: string): Convert | null | undefined {
    return this.converts.get(name)
  }

  private async learn(session: Session, name: string, width: number | undefined): Promise<void> {
    if (UTF8.includes(name)) this.converts.set(name, null)
    else if (WIDE[name]) this.converts.set(name, WIDE[name])
    // Of a set of single bytes, the server tells what each is.
    else if (width === 1) this.converts.set(name, await singleBytes(session, name))
  }
}

async function singleBytes(session: Session, name: string): Promise<Convert> {
  const columns = Array.from({ length: 256 }, (_, byte) => {
    const hex = byte.toString(16).padStart(2, '0')
    return `HEX(CONVERT(_${name} x'${hex}' USING utf8mb4)) AS b${byte}`
  })
  const [row] = await ask(session, `SELECT ${columns.join(', ')}`)
  const table = Array.from({ length: 256 }, (_, byte) => {
    const hex = row![`b${byte}`]!
    return hex === '3F' && byte !== 0x3f ? undefined : Buffer.from(hex, 'hex')
  })
  return (bytes, from, to) => {
    const parts: Buffer[] = []
    for (let at = from; at < to; at++) {
      const part = table[bytes[at]!]
      if (!part) return undefined
      parts.push(part)
    }
    return Buffer.concat(parts)
  }
}
