import { spawn, spawnSync } from 'node:child_process'
import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { startRcloneRest } from '../../../../test/support/servers/rclone-rest.ts'
import { freePort } from '../../../../test/support/servers/server-folder.ts'
import { makeKey, type SshServer, startSshd } from '../../../../test/support/servers/sshd.ts'
import { errorFrom } from '../testing.ts'
import { readSshConfig } from './ssh-config.ts'
import { openSftp, type SftpOptions } from './testing.ts'

describe.skipIf(lacks('sshd'))('logging in by SFTP', () => {
  let server: SshServer
  let ssh: string
  beforeAll(async () => {
    server = await startSshd()
    ssh = join(server.home, '.ssh')
  })
  afterAll(() => server?.stop())
  beforeEach(() => {
    for (const file of ['known_hosts', 'config']) rmSync(join(ssh, file), { force: true })
  })

  /** Makes a repository's folders and tells what there was to notice. */
  async function tryOut(location = server.url('x'), options: SftpOptions = {}): Promise<string[]> {
    const notices: string[] = []
    const storage = openSftp(location, server, { onNotice: (text) => notices.push(text), ...options })
    try {
      await storage.stat({ kind: 'config' }).catch((error: { code: string }) => {
        if (error.code !== 'HF_STORAGE_NOT_FOUND') throw error
      })
    } finally {
      await storage.close()
    }
    return notices
  }

  test('the key of a new server is noted and shown, once, so that ssh knows it too', async () => {
    const notices = await tryOut()
    expect(notices).toHaveLength(1)
    expect(notices[0]).toContain(server.fingerprint())
    expect(notices[0]).toContain(`[127.0.0.1]:${server.port}`)
    expect(await tryOut()).toEqual([])
    const known = join(ssh, 'known_hosts')
    const strict = ['-o', 'StrictHostKeyChecking=yes', '-o', `UserKnownHostsFile=${known}`]
    const where = ['-i', join(ssh, 'id_ed25519'), '-p', String(server.port), `${server.user}@127.0.0.1`]
    const { status, stderr } = spawnSync('ssh', ['-F', '/dev/null', ...strict, ...where, 'true'], { encoding: 'utf8' })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    // Hashed, as many systems keep them.
    spawnSync('ssh-keygen', ['-H', '-f', known])
    expect(readFileSync(known, 'utf8')).not.toContain('127.0.0.1')
    expect(await tryOut()).toEqual([])
  })

  test('a changed key is refused, with what to do, and accepted when that was done', async () => {
    await tryOut()
    const before = server.fingerprint()
    await server.kill()
    server.changeKey()
    await server.start()
    const error = await errorFrom(() => tryOut())
    expect(error).toMatchObject({ code: 'HF_STORAGE_UNTRUSTED', retry: 'after-fix' })
    expect(server.fingerprint()).not.toBe(before)
    expect(error.message).toContain(server.fingerprint())
    const command = /ssh-keygen -R '(.*)' -f '(.*)',/.exec(error.hint!)!
    expect(spawnSync('ssh-keygen', ['-R', command[1]!, '-f', command[2]!]).status).toBe(0)
    expect(await tryOut()).toHaveLength(1)
  })

  test('a revoked key is refused, and an unknown one where it may not be learned', async () => {
    await tryOut()
    const known = join(ssh, 'known_hosts')
    appendFileSync(known, `@revoked * ${readFileSync(known, 'utf8').split(' ').slice(1).join(' ')}`)
    const revoked = await errorFrom(() => tryOut())
    expect(revoked.code).toBe('HF_STORAGE_UNTRUSTED')
    expect(revoked.message).toContain('revoked')
    rmSync(known)
    writeFileSync(join(ssh, 'config'), 'StrictHostKeyChecking yes\n')
    const strict = await errorFrom(() => tryOut())
    expect(strict.code).toBe('HF_STORAGE_UNTRUSTED')
    expect(strict.hint).toContain('ssh-keyscan')
  })

  test('names, ports, users and keys come from ~/.ssh/config', async () => {
    const other = join(server.home, 'keys')
    mkdirSync(other, { recursive: true })
    writeFileSync(join(other, 'backup key'), readFileSync(join(ssh, 'id_ed25519')), { mode: 0o600 })
    writeFileSync(
      join(ssh, 'config'),
      [
        '# the backup server',
        'Host nas !nas.example *.nas',
        `  HostName=127.0.0.1`,
        `  Port ${server.port}`,
        `  User ${server.user}`,
        '  IdentityFile "%d/keys/backup key"',
        '  UserKnownHostsFile ~/known',
        'Host *',
        '  User nobody-there',
        '  Port 1',
      ].join('\n'),
    )
    const notices = await tryOut(`sftp:nas:${server.data}/x`)
    expect(notices[0]).toContain(join(server.home, 'known'))
    expect(readFileSync(join(server.home, 'known'), 'utf8')).toMatch(/^\[127\.0\.0\.1\]:\d+ ssh-ed25519 /)
  })

  test('what only ssh can do is left to ssh', async () => {
    const known = 'StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n LogLevel ERROR'
    const proxy = `ProxyCommand ${server.sshCommand} -W 127.0.0.1:${server.port}`
    const config = join(ssh, 'config')
    // ssh reads the configuration of the account, whatever HOME says.
    writeFileSync(config, `Host far\n ${proxy}\n User ${server.user}\n IdentityFile ${ssh}/id_ed25519\n ${known}\n`)
    const command = `ssh -F ${config} far -s sftp`
    expect(await tryOut(`sftp:far:${server.data}/x`, { options: { command } })).toEqual([])
    const failed = await errorFrom(() =>
      tryOut(`sftp:far:${server.data}/x`, {
        options: { args: `-F ${config} -p 1 -o ProxyCommand=none -o HostName=127.0.0.1` },
      }),
    )
    expect(failed).toMatchObject({ code: 'HF_STORAGE_UNREACHABLE', retry: 'after-fix' })
    expect(failed.message).toContain('exit status 255')
    const nothing = await errorFrom(() => tryOut(server.url('x'), { options: { command: '/no/such/ssh' } }))
    expect(nothing.code).toBe('HF_STORAGE_LOCATION')
    const both = await errorFrom(() => tryOut(server.url('x'), { options: { command, args: '-4' } }))
    expect(both.code).toBe('HF_USAGE')
  })

  test('a key in an agent will do, and one with a passphrase only there', async () => {
    const home = join(server.home, 'agent')
    const locked = join(home, '.ssh', 'id_ed25519')
    mkdirSync(join(home, '.ssh'), { recursive: true })
    writeFileSync(locked, readFileSync(join(ssh, 'id_ed25519')), { mode: 0o600 })
    spawnSync('ssh-keygen', ['-q', '-p', '-P', '', '-N', 'a phrase', '-f', locked])
    const refused = await errorFrom(() => tryOut(server.url('x'), { environment: { HOME: home } }))
    expect(refused).toMatchObject({ code: 'HF_STORAGE_DENIED', retry: 'after-fix' })
    expect(refused.message).toContain('locked by a passphrase')
    expect(refused.hint).toContain('ssh-add')
    const socket = join(home, 'agent.sock')
    const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' })
    const environment = { HOME: home, SSH_AUTH_SOCK: socket }
    for (
      let tries = 0;
      spawnSync('ssh-add', ['-l'], { env: { ...process.env, ...environment } }).status === 2 && tries < 50;
      tries += 1
    )
      await new Promise((resolve) => setTimeout(resolve, 20))
    spawnSync('ssh-add', ['-q', join(ssh, 'id_ed25519')], { env: { ...process.env, ...environment } })
    expect(await tryOut(server.url('x'), { environment })).toHaveLength(1)
    agent.kill()
  })

  test('a key that the server does not know is refused at once, and so is having none', async () => {
    const home = join(server.home, 'stranger')
    mkdirSync(join(home, '.ssh'), { recursive: true })
    const none = await errorFrom(() => tryOut(server.url('x'), { environment: { HOME: home } }))
    expect(none).toMatchObject({ code: 'HF_STORAGE_DENIED', retry: 'after-fix' })
    makeKey(join(home, '.ssh', 'id_ed25519'))
    const wrong = await errorFrom(() => tryOut(server.url('x'), { environment: { HOME: home } }))
    expect(wrong).toMatchObject({ code: 'HF_STORAGE_DENIED', retry: 'after-fix' })
    expect(wrong.message).toContain('accepts no key')
  })

  test('what is not there is told at once', async () => {
    const refused = await errorFrom(async () => tryOut(`sftp://a@127.0.0.1:${await freePort()}//x`))
    expect(refused).toMatchObject({ code: 'HF_STORAGE_UNREACHABLE', retry: 'after-fix' })
    const unknown = await errorFrom(() => tryOut('sftp:a@nobody.invalid:/x'))
    expect(unknown).toMatchObject({ code: 'HF_STORAGE_UNREACHABLE', retry: 'after-fix' })
  })

  test.skipIf(lacks('rclone'))('something that is no SSH server is told at once', async () => {
    await using web = await startRcloneRest()
    const error = await errorFrom(() => tryOut(`sftp://a@127.0.0.1:${web.port}//x`))
    expect(error.code).toBe('HF_STORAGE_LOCATION')
  })
})

describe('the configuration of ssh', () => {
  test.each([
    ['ProxyJump gate', 'proxyjump'],
    ['ProxyJump none', undefined],
    ['Host other\n ProxyCommand x', undefined],
    ['Host h*\n ProxyCommand x', 'proxycommand'],
    ['Match all\n User x', 'match'],
    ['Include more', 'include'],
    ['# ProxyJump gate\nForwardAgent yes', undefined],
  ])('%j needs ssh for %s', (text, keyword) => {
    expect(readSshConfig(text, 'host').needsSsh).toBe(keyword)
  })

  test('the first value counts', () => {
    const text = 'Host a b\n  User one\nHost *\n User two\n Port 7\n IdentityFile x\nHost b\n IdentityFile y\n Port 8'
    expect(readSshConfig(text, 'b')).toMatchObject({ user: 'one', port: 7, identityFiles: ['x', 'y'] })
    expect(readSshConfig(text, 'c')).toMatchObject({ user: 'two', port: 7, identityFiles: ['x'] })
  })
})

describe('locations', () => {
  test.each([
    ['sftp:user@host:/srv/repo/', 'sftp:user@host:/srv/repo'],
    ['sftp:host:repo', 'sftp:host:repo'],
    ['sftp://user@host:2222//srv/repo', 'sftp://user@host:2222//srv/repo'],
    ['sftp://host/repo', 'sftp:host:repo'],
    ['sftp:[::1]:/srv', 'sftp:[::1]:/srv'],
    ['sftp://user@[::1]:22//srv', 'sftp://user@[::1]:22//srv'],
  ])('%s is shown as %s', (location, shown) => {
    expect(openSftp(location, { environment: {} }).location).toBe(shown)
  })

  test.each([
    'sftp:',
    'sftp:host',
    'sftp::/x',
    'sftp:host:',
    'sftp://host',
    'sftp://host:99999//x',
    'sftp:host:~/x',
    'sftp:-oProxyCommand=x:/y',
    'sftp:u:secret@host:/x',
    'sftp://u:secret@host//x',
  ])('%s is none', async (location) => {
    const error = await errorFrom(() => openSftp(location, { environment: {} }))
    expect(error.code).toBe('HF_STORAGE_LOCATION')
    expect(error.message).not.toContain('secret')
  })
})
