import { parsePhoneNumberFromString } from 'libphonenumber-js/max'
import type { EnrichColumn } from '../../engine/contracts/enrichment.ts'

type CountryCode = NonNullable<Parameters<typeof parsePhoneNumberFromString>[1]> & string

/** What is known of a telephone number. */
interface Phone {
  e164: string | null
  region: string | null
  kind: string | null
  valid: boolean
}

/** Makes columns of {@link phone}. Worker thread. */
export function enrich(
  { value, country }: Record<string, EnrichColumn>,
  rows: number,
): Record<keyof Phone, unknown[]> {
  const phones = Array.from({ length: rows }, (_, row) =>
    phone(value!.get(row) as string, country!.get(row) as string | null),
  )
  return {
    e164: phones.map(each => each.e164),
    region: phones.map(each => each.region),
    kind: phones.map(each => each.kind),
    valid: phones.map(each => each.valid),
  }
}

/**
 * A telephone number as written, and the country (ISO 3166-1 alpha-2, in any case) whose notation it is in where it has
 * no calling code: what Google's libphonenumber makes of them. A text that is no valid number of any country has no e164.
 */
export function phone(value: string, country: string | null): Phone {
  const home = country?.trim().toUpperCase()
  // Without a country nobody else says that 00 goes before a calling code.
  const text = home ? value : value.replace(/^\s*00/, '+')
  const number = parsePhoneNumberFromString(text, (home || undefined) as CountryCode | undefined)
  if (!number?.isValid()) return { e164: null, region: null, kind: null, valid: false }
  return { e164: number.number, region: number.country ?? null, kind: kindOf(number.getType()), valid: true }
}

/** `FIXED_LINE_OR_MOBILE` → `fixed_line_or_mobile`; null where the country's plan does not tell. */
const kindOf = (type: string | undefined) => type?.toLowerCase() ?? null
