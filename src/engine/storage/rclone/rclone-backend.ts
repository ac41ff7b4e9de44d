import { splitCommandLine } from '../../../lib/command-line.ts'
import { parseGoDuration } from '../../../lib/durations.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import type { Backend } from '../backend.ts'
import { connectionsOf } from '../connections.ts'
import { withConnectionLimit } from '../layers/with-connection-limit.ts'
import { restStorage } from '../rest/rest-storage.ts'
import { RcloneConnection } from './rclone-connection.ts'

/** All as restic has them. */
const defaults = {
  program: 'rclone',
  args: 'serve restic --stdio --b2-hard-delete',
  connections: '5',
  timeout: '1m',
} as const

export const rcloneBackend: Backend = {
  title: 'rclone',
  options: ['program', 'args', 'connections', 'timeout'],
  settings: [],
  open: ({ place, options, environment, network, clock }) => {
    if (place === '' || place.startsWith('-'))
      throw new HoldfastError('HF_STORAGE_LOCATION', 'rclone: names no place', {
        hint: 'Write rclone:remote:path, with a remote of the configuration of rclone.',
      })
    const of = (name: keyof typeof defaults): string => options.get(name) ?? defaults[name]
    const connections = connectionsOf('rclone', of('connections'))
    const [program, ...words] = splitCommandLine(of('program'))
    const connection = new RcloneConnection({
      program,
      args: [...words, ...splitCommandLine(of('args')), place],
      environment,
      startTimeoutMs: timeoutOf(of('timeout')),
      stuckRequestTimeoutMs: network.stuckRequestTimeoutMs,
      clock,
    })
    const { userAgent } = network
    // What the program serves is the repository itself.
    const storage = restStorage(connection, { location: `rclone:${place}`, path: '/', connections, userAgent })
    return withConnectionLimit(storage, connections)
  },
}

function timeoutOf(text: string): number {
  try {
    return Number(parseGoDuration(text) / 1_000_000n)
  } catch (cause) {
    throw new HoldfastError('HF_USAGE', `rclone.timeout is a time like 30s or 2m, not ${JSON.stringify(text)}`, {
      cause,
    })
  }
}
