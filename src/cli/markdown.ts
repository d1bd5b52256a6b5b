/** A text that is no markup in Markdown or HTML, and ends no cell. Underscores within words are none. */
export const text = (value: string): string =>
  value
    .replaceAll(/[\s\p{Cc}]+/gu, ' ')
    .replaceAll(
      /[\\`*{}[\]<>|#@~&]|(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu,
      sign => `&#${sign.codePointAt(0)};`,
    )

/** A name in code; one with signs that would end it, or the cell, as {@link text}. */
export const code = (name: string): string =>
  /^[^\s\p{Cc}`|\\]([^\p{Cc}`|\\]*[^\s\p{Cc}`|\\])?$/u.test(name) ? `\`${name}\`` : text(name)
