import { distance } from 'fastest-levenshtein'
import { nearest } from '../nearest.ts'
import { placeOf, type StatementText, tokensOf } from './text.ts'

/** Keywords that a word next to a syntax error may have been meant to be. */
const MEANT =
  'SELECT FROM WHERE GROUP ORDER HAVING JOIN LEFT RIGHT INNER UNION LIMIT QUALIFY PARTITION OVER CASE WHEN THEN ELSE BETWEEN DISTINCT WITH VALUES EXISTS USING LATERAL INTERVAL'.split(
    ' ',
  )

/** Keywords that are often wanted as a column's name, and end an expression. */
const TAKEN =
  'ALL ANALYSE ANALYZE AND ANY ARRAY AS ASC AT BOTH CASE CAST CHECK COLLATE COLUMN CONSTRAINT CREATE DEFAULT DESC DISTINCT DO ELSE END EXCEPT FALSE FETCH FOR FOREIGN GRANT GROUP HAVING IN INTERSECT INTO LEADING LIMIT NOT NULL OFFSET ON ONLY OR ORDER PRIMARY QUALIFY REFERENCES SOME TABLE THEN TO TRAILING TRUE UNION UNIQUE USER USING WHEN WINDOW'.split(
    ' ',
  )

const CLAUSES = [
  'FROM',
  'WHERE',
  'GROUP',
  'ORDER',
  'HAVING',
  'LIMIT',
  'QUALIFY',
  'UNION',
  'JOIN',
  'LEFT',
  'INNER',
]

const WORD = /^[\p{L}_][\p{L}\p{N}_$]*$/u

/** What was probably meant where a text does not parse at a character; undefined where nothing suggests itself. */
export function syntaxHint(sql: string, at: number): string | undefined {
  const tokens = [...tokensOf(sql)]
  if (sql.slice(at, at + 1) === "'" && !tokens.some(({ start, text }) => start === at && text.length > 1))
    return "A quote within a text is written twice: 'it''s'."
  const end = tokens.findIndex(({ start }) => start >= at)
  const index = end < 0 ? tokens.length : end
  const word = tokens[index]?.text.toUpperCase()
  const open = unclosed(tokens.slice(0, index))
  const phrase = phraseHint(tokens, index)
  if (phrase) return phrase
  if (sql.startsWith('/*', at)) return 'A comment that begins with /* ends with */.'
  if (sql.startsWith('//', at) || sql[at] === '#') return 'A comment begins with --.'
  if (word === ')' && !open) return 'It closes no bracket: take it away, or write ( before.'
  if (open && word === undefined) return bracketHint(sql, open.start)
  if (sql.startsWith('=>', at)) return 'Did you mean >= in place of =>?'
  if (word === 'SEPARATOR') return "DuckDB's SQL says string_agg(text, separator)."
  const ends = word === undefined || CLAUSES.includes(word)
  const isOpen = count(tokens.slice(0, index), 'CASE') > count(tokens.slice(0, index), 'END')
  if (isOpen && (ends || word === 'AS' || word === ',')) return 'A CASE ends with END.'
  if (ends && isUnconditional(tokens.slice(0, index)))
    return 'A JOIN says by what: JOIN other USING (column), or ON a = b.'
  if (tokens[index - 1]?.text === ',' && (word === 'SELECT' || CLAUSES.includes(word!)))
    return `Take the comma before ${tokens[index]!.text} away.`
  for (const [token, before] of [
    [tokens[index - 1], tokens[index - 2]],
    [tokens[index], tokens[index - 1]],
  ]) {
    // What stands behind FROM and JOIN is a name.
    const meant = token && !/^(FROM|JOIN)$/i.test(before?.text ?? '') && keywordOf(token.text)
    if (meant) return `Did you mean ${meant} in place of ${token.text}?`
  }
  const inner = open && tokens[tokens.indexOf(open) + 1]?.text.toUpperCase()
  const casts = open && /CAST$/i.test(tokens[tokens.indexOf(open) - 1]?.text ?? '')
  if (open && (ends || (word === 'AS' && !casts)) && !['SELECT', 'WITH', 'FROM'].includes(inner!))
    return bracketHint(sql, open.start)
  const name = [tokens[index], tokens[index - 1]].find(
    token => token && TAKEN.includes(token.text.toUpperCase()),
  )
  if (name && tokens[index] && index > 1)
    return `${name.text} is a word of SQL's own: as a name, write "${name.text}" in double quotes.`
  const before = tokens[index - 1]
  if (before?.text === ',' && tokens[index]?.text === ',') return 'Take one of the two commas away.'
  if (tokens[index]?.text.startsWith('"') || (tokens[index] && WORD.test(tokens[index].text)))
    return `Is a comma missing before ${tokens[index].text}?`
  const two = tokens[index - 2]?.text ?? ''
  if (word === '(' && WORD.test(before?.text ?? '') && isOperand(two))
    return `Is a comma missing before ${before!.text}?`
  return undefined
}

/** Whether an expression may end with a token. */
const isOperand = (text: string) =>
  /[\p{L}\p{N}_"')\]]$/u.test(text) && ![...CLAUSES, ...MEANT, ...TAKEN].includes(text.toUpperCase())

/** What is often written without a word or a bracket that belongs to it. */
function phraseHint(tokens: StatementText[], index: number): string | undefined {
  const [two, one, own, next] = [-2, -1, 0, 1].map(step => tokens[index + step]?.text ?? '')
  const words = [one, own].map(text => text!.toUpperCase())
  const [before, word] = words
  const name = WORD.test(own!)
  if (before === 'USING' && name) return `Write USING (${own}).`
  if (word === 'OUTER') return 'Write LEFT JOIN, RIGHT JOIN or FULL JOIN.'
  if (/^(EXISTS|IN|ANY|ALL)$/.test(before!) && /^(SELECT|\[)$/.test(word!))
    return `Write ${before} (…) with brackets.`
  if (
    before === '(' &&
    word === 'SELECT' &&
    WORD.test(two!) &&
    /^(WITH|,)$/i.test(tokens[index - 3]?.text ?? '')
  )
    return `Write ${two} AS (SELECT …).`
  if (word === 'WITH' && tokens[0]?.text.toUpperCase() === 'WITH')
    return 'There is one WITH: other queries follow behind a comma, name AS (…).'
  if (word === 'WITH' && next === '(') return "DuckDB's SQL has no such hints to the database: leave it out."
  if (word === '' && tokens[0]?.text.toUpperCase() === 'WITH' && one === ')')
    return 'A WITH ends with the SELECT that reads it.'
  if (word === '[' && before === 'AS') return 'Write "name" in double quotes, or without any.'
  if (word === 'BY' && two!.toUpperCase() === 'OVER') return `Write OVER (${before} BY …) with brackets.`
  if (/^(ORDER|GROUP|PARTITION)$/.test(before!) && name && !/^(AS|,|SELECT)$/i.test(two!))
    return `Write ${before} BY ${own}.`
  if (word === ',' && tokens.slice(Math.max(0, index - 4), index).some(({ text }) => /^BETWEEN$/i.test(text)))
    return 'Write BETWEEN … AND ….'
  if (word === ',' && /^\d+$/.test(one!) && /^\d+$/.test(next!))
    return `A decimal number has a point: ${one}.${next}.`
  if (
    word === ':' &&
    (before === ')' || WORD.test(one!)) &&
    !/^(WHERE|AND|OR|SELECT|ON|BY|THEN|ELSE|WHEN|IN|LIMIT|NOT)$/.test(before!)
  )
    return `A part of JSON is json ->> '$.${next}'.`
  if (
    /^[<>]=?$/.test(own!) &&
    tokens.slice(Math.max(0, index - 3), index - 1).some(({ text }) => /^[<>]=?$/.test(text))
  )
    return 'Write a < b AND b < c, or BETWEEN … AND ….'
  if (/^(REGEXP|RLIKE)$/.test(word!)) return "DuckDB's SQL says regexp_matches(text, pattern)."
  if (word === 'APPLY')
    return `Write ${before === 'OUTER' ? 'LEFT JOIN LATERAL (…) AS t ON true' : 'JOIN LATERAL (…) AS t ON true'}.`
  if (/^(AS|,|FROM|\))$/.test(word!) && one === '%' && /^\d/.test(two!)) return '20 % is 0.2.'
  if (
    word === 'LIMIT' &&
    before !== ')' &&
    tokens.slice(0, index).some(({ text }) => /^ARRAY_AGG$/i.test(text))
  )
    return 'Write first(… ORDER BY …) for the first of them.'
  if (before === 'IS' && /^['\d]/.test(own!))
    return 'IS goes with NULL, TRUE and FALSE: a value is compared by =.'
  if (word === 'OFFSET' && before === '[') return 'A list begins with 1: write [1] for the first.'
  if (word === ';' && tokens.slice(0, index).some(({ text }) => /^if$/i.test(text)))
    return 'What a function is given is parted by commas.'
  if (word === ':' && WORD.test(next!))
    return `A value from outside is getvariable('${next}'), with vars: { ${next}: … } in job.yaml.`
  const begun = tokens.slice(0, index).findLastIndex(({ text }) => /^CASE$/i.test(text))
  if (word === 'THEN' && begun >= 0 && !tokens.slice(begun, index).some(({ text }) => /^WHEN$/i.test(text)))
    return 'Write CASE WHEN … THEN ….'
  return undefined
}

function bracketHint(sql: string, at: number): string {
  const { line, column } = placeOf(sql, at)
  return `The bracket that line ${line} opens at column ${column} is not closed.`
}

const count = (tokens: StatementText[], word: string) =>
  tokens.filter(({ text }) => text.toUpperCase() === word).length

/** Whether a text ends with a join that needs a condition and has none. */
function isUnconditional(tokens: StatementText[]): boolean {
  const words = tokens.map(({ text }) => text.toUpperCase())
  const join = words.lastIndexOf('JOIN')
  return (
    join >= 0 &&
    !/^(CROSS|NATURAL|POSITIONAL)$/.test(words[join - 1] ?? '') &&
    !words.slice(join).some(word => word === 'ON' || word === 'USING')
  )
}

/** The keyword that a word is but for one letter, or for the order of its letters. */
function keywordOf(text: string): string | undefined {
  const word = text.toUpperCase()
  if (!WORD.test(word) || word.length < 4 || MEANT.includes(word)) return undefined
  const letters = (of: string) => [...of].sort().join('')
  const same = MEANT.find(keyword => letters(keyword) === letters(word))
  if (same) return same
  const near = nearest(word, MEANT)
  return near && distance(near, word) === 1 ? near : undefined
}

/** The innermost bracket that is open. */
function unclosed(tokens: StatementText[]) {
  const open: typeof tokens = []
  for (const token of tokens)
    if ('([{'.includes(token.text)) open.push(token)
    else if (')]}'.includes(token.text)) open.pop()
  return open.at(-1)
}
