import { homedir } from 'node:os'
import { splitCommandLine } from '../../../lib/command-line.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import type { Backend, BackendRequest } from '../backend.ts'
import { connectionsOf } from '../connections.ts'
import { withConnectionLimit } from '../layers/with-connection-limit.ts'
import { dialCommand } from './command-transport.ts'
import { HostKeys } from './host-keys.ts'
import { type Dial, SftpConnection } from './sftp-connection.ts'
import { parseSftpLocation, type SftpLocation } from './sftp-location.ts'
import { SftpStorage } from './sftp-storage.ts'
import { sshTarget } from './ssh-target.ts'
import { dialSsh2 } from './ssh2-transport.ts'

/** As restic. All calls share one connection, in which many requests are on their way. */
const DEFAULT_CONNECTIONS = '5'

export const sftpBackend: Backend = {
  title: 'SFTP',
  options: ['connections', 'command', 'args'],
  settings: [],
  open: (request) => {
    const location = parseSftpLocation(request.place)
    const connections = connectionsOf('sftp', request.options.get('connections') ?? DEFAULT_CONNECTIONS)
    const connection = new SftpConnection(dialOf(location, request), request.network.stuckRequestTimeoutMs)
    const { shown, path } = location
    return withConnectionLimit(new SftpStorage(connection, { location: shown, path, connections }), connections)
  },
}

/** By the command ssh where options or `~/.ssh/config` ask for what only that can do, else by ourselves. */
function dialOf(location: SftpLocation, { options, environment, onNotice }: BackendRequest): Dial {
  const command = options.get('command')
  const args = options.get('args')
  if (command !== undefined && args !== undefined)
    throw new HoldfastError('HF_USAGE', 'sftp.command and sftp.args cannot be given together', {
      hint: 'Put the arguments into sftp.command.',
    })
  if (command !== undefined) {
    const [program, ...words] = splitCommandLine(command)
    return () => dialCommand({ program, args: words, environment })
  }
  const bySsh = (more: readonly string[]) => () =>
    dialCommand({ program: 'ssh', args: sshArguments(location, more), environment })
  if (args !== undefined) return bySsh(splitCommandLine(args))
  return async () => {
    const target = sshTarget(location, environment, environment.HOME || homedir())
    if (target.needsSsh !== undefined) return await bySsh([])()
    const { knownAs: host, port, knownHostsFiles: files, acceptsNew } = target
    const hostKeys = new HostKeys({ host, port, files, acceptsNew, onNotice })
    if (hostKeys.hasAuthority) return await bySsh([])()
    return await dialSsh2({ target, hostKeys })
  }
}

/** As restic has them, but that ssh notices when the connection is gone. */
const sshArguments = ({ host, user, port }: SftpLocation, more: readonly string[]): string[] => [
  host,
  ...(port === undefined ? [] : ['-p', String(port)]),
  ...(user === undefined ? [] : ['-l', user]),
  ...['-o', 'ServerAliveInterval=30'],
  ...more,
  ...['-s', 'sftp'],
]
