const LINK = /<([^>]*)>((?:\s*;\s*[^\s;,="]+(?:\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s;,"]*))?)*)/g
const REL = /;\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))/i

/** The target of `rel=next` in a Link header (RFC 8288), as it is written; undefined where there is none. */
export function nextLink(header: string | null): string | undefined {
  for (const [, target, parameters] of (header ?? '').matchAll(LINK)) {
    const [, quoted, bare] = REL.exec(parameters!) ?? []
    const relations = (quoted ?? bare ?? '').toLowerCase().split(/\s+/)
    if (relations.includes('next')) return target
  }
  return undefined
}
