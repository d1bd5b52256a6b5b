// The search of the documents: runs in a browser, on index.js and minisearch.js beside it.
const input = document.querySelector('#search')
const found = document.querySelector('#found')
const root = input.dataset.root
const engine = new MiniSearch({
  idField: 'id',
  fields: ['heading', 'title', 'text'],
  storeFields: ['path', 'heading', 'title'],
  searchOptions: {
    combineWith: 'AND',
    prefix: true,
    fuzzy: term => (term.length > 5 ? 0.15 : false),
    boost: { heading: 4, title: 2 },
  },
})
engine.addAll(SEARCH_INDEX.map((entry, id) => ({ id, ...entry })))

input.addEventListener('input', () => {
  const hits = input.value.trim() === '' ? [] : engine.search(input.value).slice(0, 15)
  found.replaceChildren(
    ...hits.map(({ path, heading, title }) => {
      const item = document.createElement('li')
      const link = document.createElement('a')
      link.href = `${root}/${path}`
      link.textContent = heading
      const where = document.createElement('small')
      where.textContent = title
      link.append(where)
      item.append(link)
      return item
    }),
  )
})
document.addEventListener('keydown', event => {
  const links = [...found.querySelectorAll('a')]
  const at = links.indexOf(document.activeElement)
  if (event.key === '/' && document.activeElement !== input) input.focus()
  else if (event.key === 'Escape') found.replaceChildren()
  else if (event.key === 'ArrowDown' && links.length > 0) links[Math.min(at + 1, links.length - 1)].focus()
  else if (event.key === 'ArrowUp' && at >= 0) (links[at - 1] ?? input).focus()
  else if (event.key === 'Enter' && document.activeElement === input) links[0]?.click()
  else return
  event.preventDefault()
})
