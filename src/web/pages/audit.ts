import { auditLog } from '../../metadata/auditLog.ts'
import { html, moment, table } from '../../report/markup.ts'
import { mayAct, type PageMaker } from '../context.ts'

const ENTRIES = 500

/** Who did what from the dashboard. */
export const audit: PageMaker = async ({ metadata }, { who }) => {
  if (!mayAct(who)) return undefined
  const entries = await auditLog(metadata.database, ENTRIES)
  return {
    title: 'Audit',
    main: html`<h1>Audit</h1><p class="meta">The latest ${ENTRIES} actions and log-ins</p>${table(
      ['When', 'Who', 'Role', 'From', 'What', 'On', 'Outcome'],
      entries.map(each => [
        moment(each.at),
        each.who,
        each.role,
        each.address,
        each.action,
        each.subject,
        each.outcome,
      ]),
      'Nothing yet.',
    )}`,
  }
}
