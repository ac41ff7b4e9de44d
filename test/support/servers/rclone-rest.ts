import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { restServerProgram } from './rest-program.ts'
import { freePort, serverFolder } from './server-folder.ts'

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

const START_TRIES = 200

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
  let child: ChildProcess | undefined
  const killNow = (): void => {
    child?.kill('SIGKILL')
  }
  process.once('exit', killNow)
  const kill = async (): Promise<void> => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child!.once('exit', resolve))
    killNow()
    await gone
  }
  const start = async (): Promise<void> => {
    child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], cwd: folder })
    let said = ''
    child.stderr!.on('data', (text) => {
      said = (said + text).slice(-2000)
    })
    for (let tries = 0; tries < START_TRIES && child.exitCode === null; tries += 1) {
      if (await listens(place.port)) return
      await new Promise((resolve) => setTimeout(resolve, 10 + tries))
    }
    throw new Error(`${program} did not start: ${said}`)
  }
  const stop = async (): Promise<void> => {
    process.off('exit', killNow)
    await kill()
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }
  try {
    await start()
  } catch (error) {
    await stop()
    throw error
  }
  return {
    port: place.port,
    url: `${options.tls ? 'https' : 'http'}://127.0.0.1:${place.port}/`,
    data,
    certificateFile: options.tls ? place.cert : undefined,
    kill,
    start,
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

const listens = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })

function makeCertificate({ cert, key }: Place): void {
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  const names = ['-subj', '/CN=a test of Holdfast', '-addext', 'subjectAltName=IP:127.0.0.1']
  const { status, stderr } = spawnSync('openssl', [...request, '-keyout', key, '-out', cert, ...names], {
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`openssl: ${stderr}`)
}
