import type { Name } from './names.ts'
import type { Dice } from './random.ts'

// Reserved names (RFC 2606), so that no sample row can ever reach a person.
const DOMAINS = ['example.com', 'example.org', 'example.net', 'mail.example.com', 'post.example.org']

/** An address that is unique to `tag` and valid. */
export function email(dice: Dice, first: Name, last: Name, tag: string): string {
  const domain = dice.pick(DOMAINS)
  switch (dice.below(4)) {
    case 0:
      return `${first.ascii}.${last.ascii}.${tag}@${domain}`
    case 1:
      return `${first.ascii[0]}${last.ascii}${tag}@${domain}`
    case 2:
      return `${last.ascii}_${tag}@${domain}`
    default:
      return `${first.ascii}+${tag}@${domain}`
  }
}

/** The address with the capitals of a hurried typist: the same mailbox, another text. */
export const shouted = (dice: Dice, address: string): string =>
  dice.chance(0.5)
    ? address.toUpperCase()
    : address.replace(/(^|[._+@])[a-z]/g, letter => letter.toUpperCase())

/** The address with white space around it, as copied from a mail. */
export const padded = (dice: Dice, address: string): string =>
  dice.pick([`  ${address}`, `${address} `, ` ${address}  `, `\t${address}`, `${address}\u00a0`])

/** What remains of the address after one of the mistakes that no cleaning can undo. */
export function broken(dice: Dice, address: string): string {
  const [local = '', domain = ''] = address.split('@')
  switch (dice.below(8)) {
    case 0:
      return `${local}${domain}`
    case 1:
      return `${local}@`
    case 2:
      return `@${domain}`
    case 3:
      return `${local}@@${domain}`
    case 4:
      return `${local}@${domain.split('.')[0]}`
    case 5:
      return `${local}@${domain.replace('.', '..')}`
    case 6:
      return `${local.slice(0, 3)} ${local.slice(3)}@${domain}`
    default:
      return `${local}@${domain}@${domain}`
  }
}
