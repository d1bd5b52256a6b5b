/** A run's error, as the history keeps it, in one line. */
export function errorText(error: string | null): string {
  if (error === null) return '–'
  const { code, message } = JSON.parse(error) as { code?: string; message?: string }
  return [code, message].filter(Boolean).join(': ')
}
