const FORM = /^([+-]?)(\d+)(?:\.(\d*))?(?:e([+-]?\d{1,4}))?$/i
/** No column holds more digits; it bounds the work that an exponent can ask for. */
const MAX_DIGITS = 400

/** `12.10` with scale 2 → 1210n: exact, or undefined where digits other than zeros would be lost or it is no number. */
export function parseScaled(text: string, scale: number): bigint | undefined {
  const match = FORM.exec(text)
  if (!match || text.length > MAX_DIGITS) return undefined
  const [, sign, whole, fraction = '', exponent = '0'] = match
  let digits = whole! + fraction
  // How many zeros must follow the digits, or how many digits must go.
  const shift = scale - fraction.length + Number(exponent)
  if (shift < 0) {
    const kept = Math.max(0, digits.length + shift)
    if (/[1-9]/.test(digits.slice(kept))) return undefined
    digits = digits.slice(0, kept)
  } else if (!/[1-9]/.test(digits)) return 0n
  else if (shift > MAX_DIGITS) return undefined
  else digits = digits.padEnd(digits.length + shift, '0')
  const value = digits.length <= 15 ? BigInt(Number(digits)) : BigInt(digits)
  return sign === '-' ? -value : value
}
