import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Hooks } from '../servers.ts'

/** Orders by pages of fifty; every fiftieth has no city. */
export const ORDERS = 400
const LIMIT = 50

/** How an API of orders answers: `pause`: milliseconds a page; `secondPage`: there is none before; `refuses`: it knows nobody. */
export interface ApiMood {
  secondPage?: Promise<void>
  pause: number
  refuses: boolean
}

export async function startOrdersApi(hooks: Hooks): Promise<{ url: string; mood: ApiMood }> {
  const mood: ApiMood = { pause: 0, refuses: false }
  const server = createServer(async (request, response) => {
    const page = Number(new URL(request.url!, 'http://x').searchParams.get('page') ?? 1)
    await delay(mood.pause)
    if (page > 1) await mood.secondPage
    if (mood.refuses) return response.writeHead(401).end('{}')
    const orders = Array.from({ length: LIMIT }, (_, n) => {
      const id = (page - 1) * LIMIT + n + 1
      return { id, city: id % 50 === 7 ? null : `city ${id % 9}`, amount: id * 3 }
    })
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ orders: page * LIMIT > ORDERS ? [] : orders, total: ORDERS }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  hooks.after(async () => {
    server.close()
    server.closeAllConnections()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, mood }
}
