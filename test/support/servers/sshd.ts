import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { freePort, serverFolder } from './server-folder.ts'
import { listens, processesBelow, startProcess } from './server-process.ts'

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
  const server = await startProcess({
    program: '/usr/sbin/sshd',
    args: ['-D', '-e', '-f', config],
    folder,
    isReady: () => listens(port),
  })
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
    kill: () => server.kill(),
    pause: async (isPaused) => {
      for (const pid of processesBelow(server.pid)) process.kill(pid, isPaused ? 'SIGSTOP' : 'SIGCONT')
    },
    start: () => server.start(),
    stop: () => server.stop(),
    [Symbol.asyncDispose]: () => server.stop(),
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
