import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { freePort, serverFolder } from './server-folder.ts'

export interface SshServer {
  readonly port: number
  readonly user: string
  /** A home folder for clients: with a key that the server accepts, and nothing known of the server. */
  readonly home: string
  /** For clients: `HOME` and no agent. */
  readonly environment: Readonly<Record<string, string>>
  /** A folder for repositories. */
  readonly data: string
  /** `sftp://user@127.0.0.1:PORT//DATA/name`. */
  url(name: string): string
  /** The command ssh to this server, with its key and without asking. */
  readonly sshCommand: string
  /** The fingerprint of its key, as ssh-keygen prints it. */
  fingerprint(): string
  /** Gives it another key; it has to be started anew. */
  changeKey(): void
  kill(): Promise<void>
  /** Stops it and its connections, without ending them, or lets them go on. */
  pause(isPaused: boolean): Promise<void>
  start(): Promise<void>
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

const START_TRIES = 200

/** Debian's sshd with a configuration and keys of its own, for the user the tests run as. */
export async function startSshd(): Promise<SshServer> {
  const folder = serverFolder('sshd')
  const data = join(folder, 'data')
  const home = join(folder, 'home')
  const hostKey = join(folder, 'host_key')
  mkdirSync(data)
  mkdirSync(join(home, '.ssh'), { recursive: true, mode: 0o700 })
  const userKey = join(home, '.ssh', 'id_ed25519')
  makeKey(hostKey)
  makeKey(userKey)
  const port = await freePort()
  const user = userInfo().username
  const config = join(folder, 'sshd_config')
  writeFileSync(
    config,
    [
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      `HostKey ${hostKey}`,
      `PidFile ${join(folder, 'pid')}`,
      `AuthorizedKeysFile ${userKey}.pub`,
      'StrictModes no',
      'UsePAM no',
      'PasswordAuthentication no',
      'PermitRootLogin prohibit-password',
      'MaxStartups 100',
      'Subsystem sftp /usr/lib/openssh/sftp-server',
      '',
    ].join('\n'),
  )
  // sshd insists on this folder when it runs as root.
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 })
  let child: ChildProcess | undefined
  const killNow = (): void => {
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    // Connections have processes of their own, in its group.
    process.kill(-child.pid, 'SIGKILL')
  }
  process.once('exit', killNow)
  const kill = async (): Promise<void> => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child!.once('exit', resolve))
    for (const pid of descendants(child.pid!)) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It is gone already.
      }
    }
    killNow()
    await gone
  }
  const start = async (): Promise<void> => {
    child = spawn('/usr/sbin/sshd', ['-D', '-e', '-f', config], {
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
      cwd: folder,
    })
    let said = ''
    child.stderr!.on('data', (text) => {
      said = (said + text).slice(-4000)
    })
    for (let tries = 0; tries < START_TRIES && child.exitCode === null; tries += 1) {
      if (await listens(port)) return
      await new Promise((resolve) => setTimeout(resolve, 10 + tries))
    }
    throw new Error(`sshd did not start: ${said}`)
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
  const unasked = ['-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', '-o', 'LogLevel=ERROR']
  return {
    port,
    user,
    home,
    environment: { HOME: home, PATH: process.env.PATH ?? '' },
    data,
    url: (name) => `sftp://${user}@127.0.0.1:${port}/${join(data, name)}`,
    sshCommand: ['ssh', '-F', '/dev/null', '-i', userKey, ...unasked, '-p', port, `${user}@127.0.0.1`].join(' '),
    fingerprint: () => spawnSync('ssh-keygen', ['-lf', `${hostKey}.pub`], { encoding: 'utf8' }).stdout.split(' ')[1]!,
    changeKey: () => makeKey(hostKey),
    kill,
    pause: async (isPaused) => {
      for (const pid of descendants(child!.pid!)) process.kill(pid, isPaused ? 'SIGSTOP' : 'SIGCONT')
    },
    start,
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

/** A key without a passphrase, unless one is given. */
export function makeKey(path: string, passphrase = ''): void {
  for (const file of [path, `${path}.pub`]) rmSync(file, { force: true })
  const { status, stderr } = spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', passphrase, '-C', '', '-f', path], {
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`ssh-keygen: ${stderr}`)
}

/** The processes below one, which on Linux says so itself. */
function descendants(pid: number): number[] {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .trim()
      .split(' ')
      .filter(Boolean)
      .map(Number)
    return children.flatMap((child) => [...descendants(child), child])
  } catch {
    return []
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
