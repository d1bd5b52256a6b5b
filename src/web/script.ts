import { GRAPH_SCRIPT } from '../report/graphAssets.ts'

/**
 * The dashboard's script, which pages work without: live pages get what changed by server-sent events, a part at a time;
 * what cannot be undone is asked for.
 */
export const SCRIPT = `'use strict'
document.addEventListener('submit', event => {
  const question = event.target.dataset.confirm
  if (question && !window.confirm(question)) event.preventDefault()
})
document.addEventListener('change', event => {
  if (!event.target.matches('[data-all]')) return
  for (const box of document.querySelectorAll('input[name=id]')) box.checked = event.target.checked
})
const main = document.querySelector('main[data-live]')
if (main && window.EventSource) {
  const source = new EventSource('/events?page=' + encodeURIComponent(main.dataset.page + location.search))
  source.addEventListener('page', event => {
    const page = document.createElement('template')
    page.innerHTML = JSON.parse(event.data)
    for (const part of page.content.querySelectorAll('[data-part]')) {
      const shown = main.querySelector('[data-part="' + part.dataset.part + '"]')
      if (!shown || shown.innerHTML === part.innerHTML) continue
      if (shown.querySelector('form') && shown.contains(document.activeElement)) continue
      const log = shown.querySelector('.log')
      const atEnd = !log || log.scrollTop + log.clientHeight >= log.scrollHeight - 20
      shown.innerHTML = part.innerHTML
      const next = shown.querySelector('.log')
      if (next) next.scrollTop = atEnd ? next.scrollHeight : log.scrollTop
    }
  })
  source.addEventListener('over', () => { source.close(); location.reload() })
}
for (const log of document.querySelectorAll('.log')) log.scrollTop = log.scrollHeight
${GRAPH_SCRIPT}`
