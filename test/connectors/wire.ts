/**
 * What clients ask of servers, read off the wire: each parser is fed a connection's bytes and gives the statements that
 * have come to an end, and where data begins that follow one.
 */
export type WireParser = (bytes: Buffer) => string[]

/** https://www.postgresql.org/docs/current/protocol-message-formats.html */
export function postgresStatements(): WireParser {
  let rest: Buffer = Buffer.alloc(0)
  let started = false
  let sending = false
  return bytes => {
    rest = Buffer.concat([rest, bytes])
    const found: string[] = []
    for (;;) {
      const head = started ? 1 : 0
      const length = rest.length >= head + 4 ? rest.readUInt32BE(head) + head : Infinity
      if (rest.length < length) return found
      const kind = started ? String.fromCharCode(rest[0]!) : ''
      if (kind === 'Q') found.push(rest.toString('utf8', 5, length - 1))
      if (kind === 'P') found.push(rest.toString('utf8', rest.indexOf(0, 5) + 1, length).split('\0')[0]!)
      if (kind === 'd' && !sending) found.push('rows of COPY')
      if (kind === 'c') found.push('end of COPY')
      sending = kind === 'd'
      // A request for TLS comes before the start.
      if (!started) started = rest.readUInt32BE(4) !== 80877103
      rest = rest.subarray(length)
    }
  }
}

const COM_QUERY = 3

/** https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html */
export function mysqlStatements(): WireParser {
  let rest: Buffer = Buffer.alloc(0)
  let local = false
  return bytes => {
    rest = Buffer.concat([rest, bytes])
    const found: string[] = []
    for (;;) {
      const length = rest.length >= 4 ? rest.readUIntLE(0, 3) + 4 : Infinity
      if (rest.length < length) return found
      const query = rest[3] === 0 && rest[4] === COM_QUERY
      const sql = query ? rest.toString('utf8', 5, length) : ''
      if (query) found.push(sql)
      if (local && !query) found.push('rows of LOAD DATA')
      local = sql.startsWith('LOAD DATA LOCAL')
      rest = rest.subarray(length)
    }
  }
}
