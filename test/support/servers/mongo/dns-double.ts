import { createSocket } from 'node:dgram'
import { getServers, setServers } from 'node:dns'
import type { AddressInfo } from 'node:net'

const TYPE_SRV = 33
const TYPE_TXT = 16
const CLASS_IN = 1
const ANSWER_FLAGS = 0x8180
const NO_SUCH_NAME = 0x8183
const TTL_SECONDS = 60
const HEADER_BYTES = 12

/** What a name server says; names in small letters. */
export interface DnsRecords {
  readonly srv: Readonly<Record<string, readonly { readonly name: string; readonly port: number }[]>>
  readonly txt?: Readonly<Record<string, string>>
}

/**
 * A name server on loopback, which this process asks as long as it runs, for SRV and TXT records (RFC 1035, RFC 2782). Addresses of hosts are
 * looked up as ever: by the system, not here.
 */
export async function startDnsDouble({ srv, txt = {} }: DnsRecords): Promise<AsyncDisposable> {
  const socket = createSocket('udp4')
  socket.on('message', (query, { port, address }) => {
    const question = questionIn(query)
    const name = question.name.toLowerCase()
    const data =
      question.type === TYPE_SRV
        ? (srv[name] ?? []).map((target) => Buffer.concat([numbers(0, 0, target.port), encodeName(target.name)]))
        : question.type === TYPE_TXT && txt[name] !== undefined
          ? [Buffer.concat([Buffer.from([txt[name].length]), Buffer.from(txt[name], 'latin1')])]
          : []
    const flags = data.length > 0 ? ANSWER_FLAGS : NO_SUCH_NAME
    const header = Buffer.concat([query.subarray(0, 2), numbers(flags, 1, data.length, 0, 0)])
    const answers = data.map((bytes) =>
      Buffer.concat([question.encodedName, numbers(question.type, CLASS_IN, 0, TTL_SECONDS, bytes.length), bytes]),
    )
    socket.send(Buffer.concat([header, question.bytes, ...answers]), port, address)
  })
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  const before = getServers()
  setServers([`127.0.0.1:${(socket.address() as AddressInfo).port}`])
  return {
    [Symbol.asyncDispose]: async () => {
      setServers(before)
      await new Promise<void>((resolve) => socket.close(() => resolve()))
    },
  }
}

function questionIn(query: Buffer): {
  readonly name: string
  readonly type: number
  readonly encodedName: Buffer
  readonly bytes: Buffer
} {
  const labels: string[] = []
  let at = HEADER_BYTES
  for (let length = query[at]!; length > 0; length = query[at]!) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  const end = at + 1
  const encodedName = query.subarray(HEADER_BYTES, end)
  return {
    name: labels.join('.'),
    type: query.readUInt16BE(end),
    encodedName,
    bytes: query.subarray(HEADER_BYTES, end + 4),
  }
}

const encodeName = (name: string): Buffer =>
  Buffer.concat([
    ...name.split('.').map((label) => Buffer.from([label.length, ...Buffer.from(label)])),
    Buffer.from([0]),
  ])

/** Of 16 bits each. */
function numbers(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(2 * values.length)
  for (const [i, value] of values.entries()) bytes.writeUInt16BE(value, 2 * i)
  return bytes
}
