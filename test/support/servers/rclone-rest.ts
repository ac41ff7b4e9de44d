import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeCertificate } from './certificate.ts'
import { restServerProgram } from './rest-program.ts'
import { freePort, serverFolder } from './server-folder.ts'
import { listens, startProcess } from './server-process.ts'

export interface RestServerOptions {
  readonly appendOnly?: boolean
  /** Each user sees only what lies in the folder of his name. */
  readonly privateRepos?: boolean
  /** Who may come in; without any, everybody. */
  readonly user?: { readonly name: string; readonly password: string }
  /** Serve TLS with a certificate of its own authority. Needs the command openssl. */
  readonly tls?: boolean
  /** Where the repositories lie, instead of in the folder of the server. */
  readonly folder?: string
  /** restic's server: at most so many bytes altogether. */
  readonly maxBytes?: number
}

export interface RestServer {
  readonly port: number
  /** `http://127.0.0.1:PORT/`, without credentials. */
  readonly url: string
  /** Where the repositories lie. */
  readonly data: string
  /** Of a TLS server. */
  readonly certificateFile: string | undefined
  /** Kills it at once; `start` brings it back on the same port with the same data. */
  kill(): Promise<void>
  start(): Promise<void>
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** `rclone serve restic` on a folder. */
export const startRcloneRest = (options: RestServerOptions = {}): Promise<RestServer> =>
  startServer('rclone', options, ({ data, port, cert, key }) => [
    'rclone',
    ...['serve', 'restic', '--config', '/dev/null', '--addr', `127.0.0.1:${port}`],
    ...(options.appendOnly ? ['--append-only'] : []),
    ...(options.privateRepos ? ['--private-repos'] : []),
    ...(options.user ? ['--user', options.user.name, '--pass', options.user.password] : []),
    ...(options.tls ? ['--cert', cert, '--key', key] : []),
    data,
  ])

/** restic's own REST server. */
export const startRestServer = (options: RestServerOptions = {}): Promise<RestServer> =>
  startServer('rest-server', options, ({ folder, data, port, cert, key }) => {
    const passwords = join(folder, 'htpasswd')
    if (options.user) {
      const { name, password } = options.user
      writeFileSync(passwords, `${name}:{SHA}${createHash('sha1').update(password).digest('base64')}\n`)
    }
    return [
      restServerProgram()!,
      ...['--path', data, '--listen', `127.0.0.1:${port}`],
      ...(options.appendOnly ? ['--append-only'] : []),
      ...(options.privateRepos ? ['--private-repos'] : []),
      ...(options.user ? ['--htpasswd-file', passwords] : ['--no-auth']),
      ...(options.tls ? ['--tls', '--tls-cert', cert, '--tls-key', key] : []),
      ...(options.maxBytes === undefined ? [] : ['--max-size', String(options.maxBytes)]),
    ]
  })

interface Place {
  readonly folder: string
  readonly data: string
  readonly port: number
  readonly cert: string
  readonly key: string
}

async function startServer(
  kind: string,
  options: RestServerOptions,
  commandOf: (place: Place) => readonly string[],
): Promise<RestServer> {
  const folder = serverFolder(kind)
  const data = options.folder ?? join(folder, 'data')
  mkdirSync(data, { recursive: true })
  const place = { folder, data, port: await freePort(), cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') }
  if (options.tls) makeCertificate(place)
  const [program, ...args] = commandOf(place) as [string, ...string[]]
  const server = await startProcess({ program, args, folder, isReady: () => listens(place.port) })
  return {
    port: place.port,
    url: `${options.tls ? 'https' : 'http'}://127.0.0.1:${place.port}/`,
    data,
    certificateFile: options.tls ? place.cert : undefined,
    kill: () => server.kill(),
    start: () => server.start(),
    stop: () => server.stop(),
    [Symbol.asyncDispose]: () => server.stop(),
  }
}
