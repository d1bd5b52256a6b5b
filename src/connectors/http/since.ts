import type { HttpOptions } from './options.ts'

/** DuckDB's text of a watermark as an API takes it; one that is no time stays as it is. */
export function sinceText(value: string, format: HttpOptions['since_format']): string {
  if (!/^\d{4,}-\d{2}-\d{2}( |$)/.test(value)) return value
  const iso = value.replace(' ', 'T').replace(/\+00(:00)?$/, 'Z')
  if (format === 'iso') return iso
  // A time without an offset is UTC's; without a time, it is midnight of it.
  const millis = Date.parse(/Z$|^[^T]+$/.test(iso) ? iso : `${iso}Z`)
  return String(format === 'epoch' ? Math.floor(millis / 1000) : Math.floor(millis))
}
