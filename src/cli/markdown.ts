/** A text that is no markup in Markdown or HTML, and ends no cell. */
export const text = (value: string): string =>
  value
    .replaceAll(/[\s\p{Cc}]+/gu, ' ')
    .replaceAll(/[\\`*_{}[\]<>|#@~&]/g, sign => `&#${sign.codePointAt(0)};`)
