/**
 * `${VAR}` and `${VAR:-default}` in job.yaml. A reference may stand unquoted inside `{ … }`, where YAML gives
 * `{`, `}`, `,` and `:` a meaning of their own; so references are veiled, one character for one, before the parser
 * sees them and unveiled in the scalars it returns. Values are put in afterwards and never parsed.
 * `$${VAR}` stands for the text `${VAR}`.
 */
const REFERENCE = /\$\{[^}\n]*\}/g
const SPECIAL = '{}[],:#&*!|>%@`"\'? '
const BASE = 0xe000

/** Hides references from the YAML parser; every line and column stays where it is. */
export function veil(text: string): string {
  return text.replace(REFERENCE, reference =>
    Array.from(reference, char => {
      const at = SPECIAL.indexOf(char)
      return at < 0 ? char : String.fromCharCode(BASE + at)
    }).join(''),
  )
}

/** The inverse of {@link veil}. */
export function unveil(text: string): string {
  return text.replace(/[\ue000-\ue01f]/g, char => SPECIAL[char.charCodeAt(0) - BASE] ?? char)
}

export interface Expansion {
  text: string
  /** Why the text could not be expanded, one line a reference. */
  problems: string[]
  /** Each reference that was replaced, and its value. */
  used: { reference: string; value: string }[]
}

/** Replaces references by the environment's values. */
export function expand(text: string, env: Record<string, string | undefined>): Expansion {
  const problems: string[] = []
  const used: Expansion['used'] = []
  const expanded = text.replace(/\$?\$\{([^}\n]*)\}/g, (reference: string, body: string) => {
    if (reference.startsWith('$$')) return reference.slice(1)
    const match = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/.exec(body)
    if (!match?.[1]) {
      problems.push(`${reference} is no variable reference; expected \${NAME} or \${NAME:-default}`)
      return reference
    }
    // As in the shell, `:-` also covers a variable that is set but empty.
    const value = match[2] === undefined ? env[match[1]] : env[match[1]] || match[2]
    if (value === undefined) {
      problems.push(
        `environment variable ${match[1]} is not set: export it, or give a default, \${${match[1]}:-default}`,
      )
      return reference
    }
    used.push({ reference, value })
    return value
  })
  return { text: expanded, problems, used }
}
