import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { commandPath } from '../../command-path.ts'
import { hasTool, makeTool, toolCache } from '../../tool-cache.ts'

export const FERRETDB_VERSION = '2.7.0'

/** Changes with the recipe. */
const NAME = `ferretdb-${FERRETDB_VERSION}-documentdb-pg18-1`
const MODULE = `github.com/FerretDB/FerretDB/v2/cmd/ferretdb@v${FERRETDB_VERSION}`
/** DocumentDB is packaged in Debian's unstable distribution only. */
const SUITE = 'sid'
const PACKAGES = ['postgresql-18', 'postgresql-18-documentdb']
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
/** What is not needed to run anything. */
const BALLAST = ['usr/share/doc', 'usr/share/man', 'usr/share/locale', 'usr/share/info']

export interface FerretPrograms {
  readonly ferretdb: string
  readonly postgres: string
  readonly initdb: string
}

/** Whether FerretDB and its PostgreSQL have been built on this machine. */
export const hasFerret = (): boolean => hasTool(NAME)

/** Where they are. */
export function ferretPrograms(): FerretPrograms {
  const folder = join(toolCache(), NAME)
  const bin = join(folder, 'debian', POSTGRES_BIN)
  return { ferretdb: join(folder, 'ferretdb'), postgres: join(bin, 'postgres'), initdb: join(bin, 'initdb') }
}

/** Whether this machine has what it takes: Go, and Debian's package tools. Nobody has to be root. */
export const canMakeFerret = (): boolean =>
  process.platform === 'linux' && ['go', 'apt-get', 'dpkg-deb'].every((name) => commandPath(name) !== undefined)

/**
 * Builds FerretDB with Go, and unpacks PostgreSQL 18 with the DocumentDB extension out of Debian packages: about two minutes, 500 MB.
 * @throws Error when a program fails
 */
export function makeFerret(): void {
  makeTool(NAME, (folder) => {
    chmodSync(folder, 0o755)
    unpackDebian(folder)
    run('go', ['install', MODULE], { GOBIN: folder, CGO_ENABLED: '0' })
    chmodSync(join(folder, 'ferretdb'), 0o755)
  })
}

const POSTGRES_BIN = 'usr/lib/postgresql/18/bin'

/** Downloads the packages with all they depend on, and unpacks them without installing anything. */
function unpackDebian(folder: string): void {
  const apt = join(folder, 'apt')
  for (const below of ['state/lists/partial', 'cache/archives/partial', 'etc'])
    mkdirSync(join(apt, below), { recursive: true })
  writeFileSync(join(apt, 'status'), '')
  const signedBy = existsSync(KEYRING) ? ` [signed-by=${KEYRING}]` : ''
  writeFileSync(join(apt, 'etc/sources.list'), `deb${signedBy} ${debianMirror()} ${SUITE} main\n`)
  const settings = {
    'Dir::State': join(apt, 'state'),
    'Dir::State::status': join(apt, 'status'),
    'Dir::Cache': join(apt, 'cache'),
    'Dir::Etc::sourcelist': join(apt, 'etc/sources.list'),
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::Etc::preferencesparts': '/dev/null',
    'Acquire::Languages': 'none',
    'APT::Sandbox::User': 'root',
    'Debug::NoLocking': 'true',
  }
  const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  run('apt-get', [...options, '--quiet=2', 'update'])
  run('apt-get', [
    ...options,
    '--quiet=2',
    '--yes',
    '--no-install-recommends',
    '--download-only',
    'install',
    ...PACKAGES,
  ])
  const debian = join(folder, 'debian')
  mkdirSync(join(debian, 'usr'), { recursive: true })
  for (const name of ['bin', 'lib', 'lib64', 'sbin']) symlinkSync(`usr/${name}`, join(debian, name))
  const archives = join(apt, 'cache/archives')
  for (const name of readdirSync(archives))
    if (name.endsWith('.deb')) run('dpkg-deb', ['-x', join(archives, name), debian])
  rmSync(apt, { recursive: true })
  for (const path of BALLAST) rmSync(join(debian, path), { recursive: true, force: true })
  // What the package's install script would link.
  symlinkSync('postgis-3.control', join(debian, 'usr/share/postgresql/18/extension/postgis.control'))
  for (const name of ['postgres', 'initdb']) wrap(debian, name)
}

/** The mirror that this machine's own apt uses for its release. */
function debianMirror(): string {
  const release = /^VERSION_CODENAME=(.+)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1]
  const format = '$(SITE) $(RELEASE) $(COMPONENT)'
  const { stdout } = spawnSync('apt-get', ['indextargets', '--format', format], { encoding: 'utf8' })
  for (const line of stdout.split('\n')) {
    const [site, suite, component] = line.split(' ')
    if (site !== undefined && suite === release && component === 'main') return site
  }
  throw new Error(`apt knows no mirror of Debian ${release}`)
}

/**
 * Puts a script in the place of a program, which starts it with the loader and the libraries it was built for: those of this machine are
 * older. PostgreSQL finds its other files by the path it was called by.
 */
function wrap(debian: string, name: string): void {
  const program = join(debian, POSTGRES_BIN, name)
  const triplet = readdirSync(join(debian, 'usr/lib')).find((entry) => entry.endsWith('-linux-gnu'))
  const loader = readdirSync(join(debian, 'usr/lib', triplet ?? '')).find((entry) =>
    /^ld-linux.*\.so\.\d+$/.test(entry),
  )
  if (triplet === undefined || loader === undefined) throw new Error('the packages bring no loader')
  renameSync(program, `${program}.elf`)
  const lines = [
    '#!/bin/sh',
    'here=$(dirname "$0")',
    `libraries="$here/../../../${triplet}"`,
    'path="$libraries:$libraries/blas:$libraries/lapack:$here/../lib"',
    `exec "$libraries/${loader}" --library-path "$path" --argv0 "$0" "$0.elf" "$@"`,
  ]
  writeFileSync(program, `${lines.join('\n')}\n`, { mode: 0o755 })
}

const COMMAND_MS = 20 * 60_000

function run(program: string, args: readonly string[], environment: Readonly<Record<string, string>> = {}): void {
  const { status, stderr, error } = spawnSync(program, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
    // A download that hangs must not keep the tests from running without.
    timeout: COMMAND_MS,
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', ...environment },
  })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${program} ended with ${status}: ${stderr.split('\n').slice(-6).join('\n')}`)
}
