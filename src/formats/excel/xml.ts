import { SaxesParser } from 'saxes'

export type Attributes = Record<string, string>

/** What is done with a document as it is read; names come without their prefix. */
export interface XmlHandler {
  open(name: string, attributes: Attributes): void
  text?(text: string): void
  close?(name: string): void
}

const PIECE = 256 * 1024

/** Reads an XML document (UTF-8, or UTF-16 with a mark). Fails where it is none. */
export function parseXml(bytes: Buffer, handler: XmlHandler): void {
  const parser = new SaxesParser()
  parser.on('error', error => {
    throw error
  })
  parser.on('opentag', ({ name, attributes }) => handler.open(local(name), attributes as Attributes))
  if (handler.text) {
    parser.on('text', text => handler.text!(text))
    parser.on('cdata', text => handler.text!(text))
  }
  parser.on('closetag', ({ name }) => handler.close?.(local(name)))
  const utf16 = bytes[0] === 0xff && bytes[1] === 0xfe
  const decoder = new TextDecoder(utf16 ? 'utf-16le' : 'utf-8', { fatal: true })
  for (let at = 0; at < bytes.length; at += PIECE)
    parser.write(decoder.decode(bytes.subarray(at, at + PIECE), { stream: true }))
  parser.write(decoder.decode())
  parser.close()
}

const local = (name: string) => name.slice(name.indexOf(':') + 1)

/** An attribute by its local name. */
export function attribute(attributes: Attributes, name: string): string | undefined {
  if (attributes[name] !== undefined) return attributes[name]
  return Object.entries(attributes).find(([key]) => local(key) === name)?.[1]
}

/** Excel writes characters that XML cannot hold as `_x000D_`. */
export function unescaped(text: string): string {
  return text.replace(/_x([0-9A-Fa-f]{4})_/g, (_all, code: string) =>
    String.fromCharCode(Number.parseInt(code, 16)),
  )
}
