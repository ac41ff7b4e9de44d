import { createServer, connect as dial, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { noise } from '../../../test/support/storage-victims.ts'
import { RedisClient } from './client.ts'
import { SocketReader } from './socket-reader.ts'
import { startTransfer } from './transfer.ts'

const MARK = Buffer.from('0123456789abcdef0123456789abcdef01234567')
const FULL = `+FULLRESYNC ${'a'.repeat(40)} 1234\r\n`

/** A server that answers each command by what `answers` says, in the order in which commands come. */
async function scripted(
  answers: (command: string, socket: Socket) => string | Buffer | undefined,
): Promise<AsyncDisposable & { readonly port: number; readonly commands: string[] }> {
  const commands: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('data', (data) => {
      for (const command of data.toString('latin1').split(/(?=\*\d+\r\n)/)) {
        const words = command
          .split('\r\n')
          .filter((_, i) => i > 0 && i % 2 === 0)
          .join(' ')
          .trim()
        commands.push(words)
        const answer = answers(words, socket)
        if (answer !== undefined) socket.write(answer)
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as { port: number }).port,
    commands,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const connected = (port: number, signal?: AbortSignal): Promise<RedisClient> =>
  RedisClient.connect({ address: { host: '127.0.0.1', port }, signal })

/** Sends in pieces that arrive one by one. */
async function dribble(socket: Socket, pieces: readonly (string | Buffer)[]): Promise<void> {
  for (const piece of pieces) {
    socket.write(piece)
    await sleep(5)
  }
}

async function received(client: RedisClient): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of (await startTransfer(client, undefined)).bytes) pieces.push(piece)
  return Buffer.concat(pieces)
}

describe('a transfer', () => {
  test('takes a file of known length, after empty lines, and nothing that follows', async () => {
    const file = noise(1, 100_000)
    await using server = await scripted((command, socket) => {
      if (command === 'PSYNC ? -1') {
        void dribble(socket, [
          '\n',
          '\n',
          FULL,
          '\n',
          '\n',
          '\n$100000\r\n',
          file.subarray(0, 7) as Buffer,
          Buffer.concat([file.subarray(7), Buffer.from('*1\r\n$4\r\nPING\r\n')]),
        ])
        return undefined
      }
      return command === 'PING' ? '+PONG\r\n' : '+OK\r\n'
    })
    using client = await connected(server.port)
    const transfer = await startTransfer(client, '9.1.2')
    expect(transfer).toMatchObject({ replicationId: 'a'.repeat(40), offset: 1234n, isDiskless: false })
    const pieces: Uint8Array[] = []
    for await (const piece of transfer.bytes) pieces.push(piece)
    expect(Buffer.concat(pieces).equals(file)).toBe(true)
    expect(server.commands).toEqual([
      'PING',
      'REPLCONF capa eof',
      'REPLCONF ip-address holdfast.invalid',
      'REPLCONF version 9.1.2',
      'REPLCONF rdb-only 1',
      'PSYNC ? -1',
    ])
  })

  test('ends at the mark, wherever that is cut, and not at what resembles it', async () => {
    const file = Buffer.concat([noise(2, 5000), MARK.subarray(0, 39), noise(3, 100), MARK.subarray(1)])
    for (const cut of [0, 1, 20, 39, 40]) {
      await using server = await scripted((command, socket) => {
        if (command !== 'PSYNC ? -1') return command === 'PING' ? '+PONG\r\n' : '+OK\r\n'
        void dribble(socket, [
          `${FULL}$EOF:${MARK}\r\n`,
          Buffer.concat([file, MARK.subarray(0, cut)]),
          Buffer.concat([MARK.subarray(cut), Buffer.from('*1\r\n')]),
        ])
        return undefined
      })
      using client = await connected(server.port)
      expect((await received(client)).equals(file), `cut after ${cut}`).toBe(true)
    }
  })

  test('falls back to SYNC, and goes on without rdb-only', async () => {
    await using server = await scripted((command) => {
      if (command === 'SYNC') return '\n$3\r\nabc'
      if (command === 'REPLCONF rdb-only 1') return '-ERR Unrecognized REPLCONF option: rdb-only\r\n'
      return command.startsWith('PSYNC') ? "-ERR unknown command 'PSYNC'\r\n" : '+OK\r\n'
    })
    using client = await connected(server.port)
    expect((await received(client)).toString()).toBe('abc')
  })

  test.each([
    {
      what: 'a missing right',
      answers: { 'REPLCONF capa eof': '-NOPERM this user has no permissions to run the replconf command\r\n' },
      error: {
        code: 'HF_SOURCE_PERMISSION',
        hint: 'grant what backups need: ACL SETUSER default +psync +replconf +ping +info',
      },
    },
    {
      what: 'a lost master',
      answers: { 'PSYNC ? -1': "-NOMASTERLINK Can't SYNC while not connected with my master\r\n" },
      error: { code: 'HF_SOURCE_UNREACHABLE', hint: expect.stringContaining('master_link_status') },
    },
    {
      what: 'a failed copy',
      answers: { 'PSYNC ? -1': `${FULL}-ERR BGSAVE failed, replication can't continue\r\n` },
      error: { code: 'HF_SOURCE_UNSUPPORTED', message: expect.stringContaining('BGSAVE failed') },
    },
    {
      what: 'another protocol',
      answers: { PING: 'HTTP/1.1 400 Bad Request\r\n\r\n' },
      error: { code: 'HF_SOURCE_DAMAGED', hint: expect.stringContaining('port') },
    },
    { what: 'a line without end', answers: { PING: `+${'x'.repeat(100_000)}` }, error: { code: 'HF_SOURCE_DAMAGED' } },
    { what: 'a reply that is too large', answers: { PING: '$99999999999\r\n' }, error: { code: 'HF_SOURCE_DAMAGED' } },
    {
      what: 'nested replies without end',
      answers: { PING: '*1\r\n'.repeat(100) },
      error: { code: 'HF_SOURCE_DAMAGED' },
    },
    { what: 'an impossible header', answers: { 'PSYNC ? -1': `${FULL}$-5\r\n` }, error: { code: 'HF_SOURCE_DAMAGED' } },
  ])('fails with a hint at $what', async ({ answers, error }) => {
    await using server = await scripted((command) => (answers as Record<string, string>)[command] ?? '+OK\r\n')
    using client = await connected(server.port)
    await expect(received(client)).rejects.toMatchObject(error)
  })

  test.each([
    { what: 'before the file', sent: '' },
    { what: 'within a file of known length', sent: `${FULL}$10\r\nabc` },
    { what: 'within a file with a mark', sent: `${FULL}$EOF:${MARK}\r\nabc${MARK.toString().slice(0, 39)}` },
  ])('fails when the connection ends $what', async ({ sent }) => {
    await using server = await scripted((command, socket) => {
      if (!command.startsWith('PSYNC')) return '+OK\r\n'
      socket.end(sent)
      return undefined
    })
    using client = await connected(server.port)
    await expect(received(client)).rejects.toMatchObject({ code: 'HF_SOURCE_UNREACHABLE' })
  })

  test('stops when it is told to', async () => {
    const stop = new AbortController()
    const reason = new Error('stop')
    await using server = await scripted((command) => {
      if (!command.startsWith('PSYNC')) return '+OK\r\n'
      setTimeout(() => stop.abort(reason), 10)
      return FULL
    })
    using client = await connected(server.port, stop.signal)
    await expect(received(client)).rejects.toSatisfy((error) => error === reason || (error as Error).cause === reason)
  })
})

test('a server that is not there is named, with what to check', async () => {
  await expect(connected(1)).rejects.toMatchObject({
    code: 'HF_SOURCE_UNREACHABLE',
    message: expect.stringContaining('127.0.0.1:1'),
    hint: expect.any(String),
  })
})

test('a server may be silent for a while, and we may be slow for any time', async () => {
  const answers = ['a', 'b']
  await using server = await scripted(() => answers.shift())
  const socket = dial(server.port, '127.0.0.1')
  const ask = (): boolean => socket.write('*1\r\n$4\r\nPING\r\n')
  const reader = new SocketReader(socket, 'redis here', 500)
  ask()
  expect(String(await reader.piece())).toBe('a')
  ask()
  await sleep(700)
  expect(String(await reader.piece())).toBe('b')
  await expect(reader.piece()).rejects.toMatchObject({
    code: 'HF_SOURCE_UNREACHABLE',
    message: 'redis here sends nothing for 0.5 s',
  })
})
