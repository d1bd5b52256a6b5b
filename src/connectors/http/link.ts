const LINK = /<([^>]*)>((?:\s*;\s*[^\s;,="]+(?:\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s;,"]*))?)*)/g
const PARAMETER = /;\s*([^\s;,="]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?/g

/** The target of `rel=next` in a Link header (RFC 8288), as it is written; undefined where there is none. */
export function nextLink(header: string | null): string | undefined {
  for (const [, target, parameters] of (header ?? '').matchAll(LINK)) {
    // Of several the first counts.
    const [, , quoted, bare] =
      [...parameters!.matchAll(PARAMETER)].find(([, name]) => name!.toLowerCase() === 'rel') ?? []
    const relations = (quoted ?? bare ?? '').toLowerCase().split(/\s+/)
    if (relations.includes('next')) return target
  }
  return undefined
}
