import { parsePhoneNumberFromString } from 'libphonenumber-js/max'

type CountryCode = NonNullable<Parameters<typeof parsePhoneNumberFromString>[1]> & string

/**
 * A telephone number as written, and the country (ISO 3166-1 alpha-2, in any case) whose notation it is in where it has
 * no calling code: what Google's libphonenumber makes of them. A text that is no valid number of any country has no e164.
 */
export function enrich([value, country]: (string | null)[]): (string | boolean | null)[] {
  const home = country?.trim().toUpperCase()
  // Without a country nobody else says that 00 goes before a calling code.
  const text = home ? value! : value!.replace(/^\s*00/, '+')
  const number = parsePhoneNumberFromString(text, (home || undefined) as CountryCode | undefined)
  if (!number?.isValid()) return [null, null, null, false]
  return [number.number, number.country ?? null, kindOf(number.getType()), true]
}

/** `FIXED_LINE_OR_MOBILE` → `fixed_line_or_mobile`; null where the country's plan does not tell. */
const kindOf = (type: string | undefined) => type?.toLowerCase() ?? null
