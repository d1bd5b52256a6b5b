import { EngineError, type ErrorCode } from '../../engine/errors.ts'

/** A file that is bad as a whole: cut, lying, or not of its format. Its other faults are rows. */
export class BadFile extends EngineError {}

/** A file that the store does not give: no permission, archived, gone. It may on another day, so it does not count as taken. */
export class UnopenedFile extends BadFile {}

/** Says what is wrong with a file as a whole. */
export function badFile(
  where: string,
  what: string,
  cause?: unknown,
  code: ErrorCode = 'DECODE_FAILED',
  hint = 'Get the file again, check format and compression of this extract, or set on_bad_file: quarantine.',
): BadFile {
  return new BadFile(code, `${where}: ${what}`, { cause, hint })
}

/** What to write where a text is not UTF-8. */
export const NOT_UTF8 =
  'Say how it is written: encoding: windows-1252 (Western Europe), windows-1250 (Central Europe), windows-1251 (Cyrillic) … in this extract.'
