import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/lib/clock.ts'
import { lacks } from '../support/requirements.ts'
import { resticPrograms } from '../support/restic-trees.ts'
import { type RestServer, startRcloneRest, startRestServer } from '../support/servers/rclone-rest.ts'
import { type SshServer, startSshd } from '../support/servers/sshd.ts'
import { play } from '../support/stage.ts'
import { PASSWORD, scratchFolder } from '../support/test-repository.ts'

/** A store on a server, as we and as restic are told of it. */
interface Place {
  readonly location: string
  readonly resticOptions?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
}

const quick = {
  now: systemClock.now,
  sleep: (milliseconds: number, signal?: AbortSignal) => systemClock.sleep(milliseconds / 20, signal),
}

describe.skipIf(lacks('restic', 'rclone', 'sshd'))('restic and we on one repository', () => {
  const scratch = scratchFolder()
  const source = scratch.join('source')
  let rest: RestServer
  let own: RestServer | undefined
  let ssh: SshServer
  const marker = `MARKER ${'that must not be seen '.repeat(4)}`

  beforeAll(async () => {
    mkdirSync(join(source, 'folder'), { recursive: true })
    writeFileSync(join(source, 'plain'), marker.repeat(1000))
    writeFileSync(join(source, 'folder', 'large'), Buffer.alloc(6 << 20, 'some content of no interest '))
    writeFileSync(join(source, 'folder', 'empty'), '')
    rest = await startRcloneRest()
    ssh = await startSshd()
    own = lacks('rest-server') ? undefined : await startRestServer()
  })
  afterAll(async () => {
    await rest?.stop()
    await ssh?.stop()
    await own?.stop()
    scratch[Symbol.dispose]()
  })

  const places: Readonly<Record<string, (name: string) => Place>> = {
    'rest: on rclone': (name) => ({ location: `rest:${rest.url}${name}/` }),
    "rest: on restic's server": (name) => ({ location: `rest:${own!.url}${name}/` }),
    'sftp:': (name) => ({
      location: ssh.url(name),
      resticOptions: ['-o', `sftp.command=${ssh.sshCommand} -s sftp`],
      environment: ssh.environment,
    }),
    'rclone:': (name) => ({
      location: `rclone::local:${scratch.join(name)}`,
      environment: { RCLONE_CONFIG: '/dev/null', PATH: process.env.PATH! },
    }),
  }

  async function must(place: Place, args: readonly string[]): Promise<string> {
    const environment = {
      HOLDFAST_REPOSITORY: place.location,
      HOLDFAST_PASSWORD: PASSWORD,
      XDG_CACHE_HOME: scratch.join('cache'),
      ...place.environment,
    }
    const { exitCode, stdout, stderr } = await play(args, { environment, clock: quick })
    expect({ exitCode, stderr: exitCode === 0 ? '' : stderr }).toEqual({ exitCode: 0, stderr: '' })
    return stdout
  }

  function restic(program: string, place: Place, args: readonly string[]): string {
    const env = { ...process.env, ...place.environment, RESTIC_PASSWORD: PASSWORD }
    const all = ['-r', place.location, '--no-cache', ...(place.resticOptions ?? []), ...args]
    const { status, stdout, stderr } = spawnSync(program, all, { env, encoding: 'utf8' })
    if (status !== 0) throw new Error(`restic ${args.join(' ')} ended with ${status}: ${stderr}`)
    return stdout
  }

  const expectRestored = (target: string): void => {
    for (const file of ['plain', 'folder/large', 'folder/empty'])
      expect(readFileSync(join(target, source, file)).equals(readFileSync(join(source, file))), file).toBe(true)
  }

  describe.each(resticPrograms.map((program, number) => [program, number] as const))('%s', (program, number) => {
    test.each(Object.keys(places).filter((kind) => !kind.includes('server')))('%s', (kind) => interchange(kind))
    test.skipIf(lacks('rest-server'))("rest: on restic's server", () => interchange("rest: on restic's server"))

    async function interchange(kind: string): Promise<void> {
      const name = `${kind.replace(/\W+/g, '-')}${number}`
      const place = places[kind]!(name)
      const target = (who: string): string => scratch.join('restored', name, who)
      await must(place, ['init'])
      await must(place, ['backup', source])
      restic(program, place, ['check', '--read-data'])
      restic(program, place, ['restore', 'latest', '--target', target('by restic')])
      expectRestored(target('by restic'))
      writeFileSync(join(source, 'plain'), `${marker}of restic `.repeat(1000))
      restic(program, place, ['backup', source])
      await must(place, ['check', '--read-data'])
      await must(place, ['restore', 'latest', '--target', target('by us')])
      expectRestored(target('by us'))
      // And one that restic has made.
      const theirs = places[kind]!(`${name}-theirs`)
      restic(program, theirs, ['init'])
      restic(program, theirs, ['backup', source])
      await must(theirs, ['restore', 'latest', '--target', target('of theirs')])
      expectRestored(target('of theirs'))
      await must(theirs, ['forget', '--keep-last', '1', '--prune'])
      restic(program, theirs, ['check'])
    }
  })

  test('nothing of the files can be read on the way, however open that is', async () => {
    const seen: Buffer[] = []
    const tap = await listen(rest.port, seen)
    const place = { location: `rest:http://127.0.0.1:${tap.port}/tapped/` }
    await must(place, ['init'])
    await must(place, ['backup', '--compression', 'off', source])
    await must(place, ['restore', 'latest', '--target', scratch.join('tapped')])
    tap.server.close()
    const all = Buffer.concat(seen)
    expect(all.length).toBeGreaterThan(100_000)
    expect(all.includes('POST /tapped/')).toBe(true)
    for (const secret of [marker.slice(0, 20), 'no interest', PASSWORD, 'folder/large'])
      expect(all.includes(secret), secret).toBe(false)
  })
})

/** Hands on what is sent to a port, both ways, and keeps it. */
async function listen(port: number, seen: Buffer[]): Promise<{ readonly port: number; readonly server: Server }> {
  const server = createServer((socket) => {
    const upstream = connect(port, '127.0.0.1')
    for (const [from, to] of [
      [socket, upstream],
      [upstream, socket],
    ] as const) {
      from.on('data', (piece) => {
        seen.push(Buffer.from(piece))
        to.write(piece)
      })
      from.on('end', () => to.end())
      from.on('error', () => to.destroy())
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { port: (server.address() as { port: number }).port, server }
}
