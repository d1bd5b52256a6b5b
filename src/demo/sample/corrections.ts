import { createWriteStream } from 'node:fs'
import { mkdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type Address, address } from './address.ts'
import { DAY, FIRST_WATERMARK, HOUR, iso } from './clock.ts'
import { homeOf, memberId } from './member.ts'
import { Dice } from './random.ts'

/** A line of the corrections file that a partner drops. */
export interface Correction extends Address {
  member_id: number
  country: string
  /** ISO 8601 in UTC. */
  corrected_at: string
}

const COLUMNS = [
  'member_id',
  'address_line1',
  'city',
  'region',
  'postal_code',
  'country',
  'corrected_at',
] as const

/** The corrections of a member: none for 99.7 %, two for every twelfth of the others, the later one last. */
export function corrections(seed: number, index: number): Correction[] {
  const dice = new Dice(seed, 'correction', index)
  if (!dice.chance(0.003)) return []
  const home = homeOf(seed, index)
  const count = dice.chance(1 / 12) ? 2 : 1
  const since = FIRST_WATERMARK - 6 * DAY + dice.below(3 * DAY)
  return Array.from({ length: count }, (_, nth) => ({
    member_id: memberId(seed, index),
    ...address(dice, home),
    country: home.code,
    corrected_at: iso(since + nth * DAY + dice.below(20 * HOUR)),
  }))
}

/**
 * Writes `address_corrections.csv` (RFC 4180, UTF-8, header, LF; an empty field is NULL) for members 0 … n - 1
 * into the folder, which is created. Returns the file's path and its number of rows. A reader of the folder never
 * sees half a file.
 */
export async function writeCorrections(
  dir: string,
  n: number,
  seed: number,
): Promise<{ path: string; rows: number }> {
  await mkdir(dir, { recursive: true })
  const path = join(dir, 'address_corrections.csv')
  let rows = 0
  function* lines() {
    let text = `${COLUMNS.join(',')}\n`
    for (let index = 0; index < n; index++) {
      for (const row of corrections(seed, index)) {
        text += `${COLUMNS.map(column => field(row[column])).join(',')}\n`
        rows++
      }
      if (text.length > 65_536) {
        yield text
        text = ''
      }
    }
    if (text) yield text
  }
  await pipeline(Readable.from(lines()), createWriteStream(`${path}.tmp`))
  await rename(`${path}.tmp`, path)
  return { path, rows }
}

const field = (value: string | number | null): string => {
  const text = String(value ?? '')
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
