/** `node delayedLine.ts HOST PORT MILLISECONDS`: a port before a server's, on which every byte comes so much later; prints its number. */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

const [host, port, delay] = [process.argv[2]!, Number(process.argv[3]), Number(process.argv[4])]
/** Bytes that may be under way: what a line of a gigabit holds in that time. */
const WINDOW = Math.max(1 << 20, (delay / 1000) * 125e6)

function pass(from: Socket, to: Socket): void {
  let underWay = 0
  from.on('data', (bytes: Buffer) => {
    underWay += bytes.length
    if (underWay >= WINDOW) from.pause()
    setTimeout(() => {
      to.write(bytes, () => {
        underWay -= bytes.length
        if (underWay < WINDOW) from.resume()
      })
    }, delay)
  })
  from.on('end', () => setTimeout(() => to.end(), delay))
  from.on('error', () => to.destroy())
  from.on('close', () => setTimeout(() => to.destroy(), delay))
}

const server = createServer({ allowHalfOpen: true }, client => {
  const upstream = connect({ host, port, allowHalfOpen: true })
  for (const socket of [client, upstream]) socket.setNoDelay()
  pass(client, upstream)
  pass(upstream, client)
})
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port))
