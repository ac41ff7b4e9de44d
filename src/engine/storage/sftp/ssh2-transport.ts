import { connect as connectSocket, type Socket } from 'node:net'
import type { AgentAuthMethod, Client, ClientChannel, PublicKeyAuthMethod } from 'ssh2'
import { HoldfastError } from '../../../lib/errors.ts'
import type { HostKeys } from './host-keys.ts'
import { readIdentities } from './identities.ts'
import type { SftpTransport } from './sftp-client.ts'
import { printable } from './sftp-error.ts'
import type { SshTarget } from './ssh-target.ts'

export interface Ssh2Options {
  readonly target: SshTarget
  readonly hostKeys: HostKeys
}

type LoginMethod = AgentAuthMethod | PublicKeyAuthMethod

const ALIVE_COUNT = 3

/**
 * An SFTP channel by the library ssh2.
 * @throws HoldfastError HF_STORAGE_UNTRUSTED for a host key, HF_STORAGE_DENIED for keys of ours; errors of the system for the connection
 */
export async function dialSsh2({ target, hostKeys }: Ssh2Options): Promise<SftpTransport> {
  const { default: ssh2 } = await import('ssh2')
  const { user, agent } = target
  const { keys, unusable } = await readIdentities(target.identityFiles, target.areIdentitiesNamed, ssh2.utils.parseKey)
  const methods: LoginMethod[] = [
    ...(agent === undefined ? [] : [{ type: 'agent', username: user, agent } as const]),
    ...keys.map((key) => ({ type: 'publickey', username: user, key }) as const),
  ]
  if (methods.length === 0) throw noKeys(target, unusable, 'there is no key to log in with')
  const socket = await openSocket(target)
  const client = new ssh2.Client()
  try {
    await login(client, socket, target, hostKeys, methods)
  } catch (error) {
    client.destroy()
    socket.destroy()
    if (hostKeys.refusal !== undefined) throw hostKeys.refusal
    const { level, message } = error as Error & { level?: string }
    if (level === 'client-authentication' || level === 'agent')
      throw noKeys(target, unusable, `the server accepts no key of ours for the user ${user}`)
    if (level === 'handshake' || level === 'protocol')
      throw new HoldfastError(
        'HF_STORAGE_LOCATION',
        `what answers at ${target.host}:${target.port} does not speak SSH as we do: ${printable(message)}`,
        {
          cause: error,
          hint: 'Set -o sftp.args= or sftp.command to have the command ssh make the connection.',
        },
      )
    throw error
  }
  try {
    return transportOf(client, socket, await openChannel(client))
  } catch (error) {
    client.end()
    throw error
  }
}

function openSocket({ host, port, connectTimeoutMs }: SshTarget): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>()
  const socket = connectSocket({ host, port, noDelay: true, keepAlive: true })
  const timer = setTimeout(() => {
    const error = new Error(`no connection within ${connectTimeoutMs / 1000} s`)
    socket.destroy(Object.assign(error, { code: 'ETIMEDOUT' }))
  }, connectTimeoutMs)
  socket.once('connect', () => resolve(socket))
  socket.on('error', reject)
  return promise.finally(() => clearTimeout(timer))
}

function login(
  client: Client,
  socket: Socket,
  target: SshTarget,
  hostKeys: HostKeys,
  methods: readonly LoginMethod[],
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  client.once('ready', resolve)
  // Later errors are told by the channel, which ends with the connection.
  client.on('error', reject)
  client.once('close', () => reject(new Error('the server ended the connection')))
  client.connect({
    sock: socket,
    username: target.user,
    hostVerifier: (key: Buffer) => hostKeys.accept(key),
    algorithms: { serverHostKey: [...hostKeys.algorithms] as never },
    authHandler: [...methods],
    readyTimeout: target.connectTimeoutMs,
    keepaliveInterval: target.aliveIntervalMs,
    keepaliveCountMax: ALIVE_COUNT,
  })
  return promise
}

function openChannel(client: Client): Promise<ClientChannel> {
  return new Promise((resolve, reject) => {
    client.once('close', () => reject(new Error('the server ended the connection')))
    client.subsys('sftp', (error, channel) => {
      if (error === undefined) resolve(channel)
      else
        reject(
          new HoldfastError('HF_STORAGE_LOCATION', `the server offers no SFTP: ${printable(error.message)}`, {
            cause: error,
            hint: 'Its owner has to allow it: "Subsystem sftp" in sshd_config.',
          }),
        )
    })
  })
}

function transportOf(client: Client, socket: Socket, stream: ClientChannel): SftpTransport {
  let failure: Error | undefined
  client.on('error', (error) => {
    failure ??= error
  })
  const closed = new Promise<void>((resolve) => client.once('close', resolve))
  stream.stderr.resume()
  return {
    stream,
    closed,
    setBusy: (isBusy) => (isBusy ? socket.ref() : socket.unref()),
    explain: async () => failure,
    close: async () => {
      client.end()
      client.destroy()
    },
  }
}

function noKeys({ host, user }: SshTarget, unusable: readonly string[], why: string): HoldfastError {
  const notes = unusable.length === 0 ? '' : ` (${unusable.join('; ')})`
  return new HoldfastError('HF_STORAGE_DENIED', `cannot log in at ${host}: ${why}${notes}`, {
    hint: `Have a key ready: in an agent (ssh-add), in ~/.ssh, or by IdentityFile in ~/.ssh/config; ssh-copy-id ${user}@${host} brings it to the server.`,
    context: { host, user },
  })
}
