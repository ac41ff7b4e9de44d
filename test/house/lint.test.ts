import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

const checkout = join(import.meta.dirname, '../..')

/** The order of ARCHITECTURE.md: each may import what stands before it. */
const layers = [
  'lib',
  'config',
  'engine/kernels',
  'engine/posix',
  'engine/storage',
  'engine/repository',
  'engine/keys',
  'engine/archive',
  'engine/restore',
  'sources',
  'recovery',
  'control',
  'api',
  'cli',
] as const

let scratch: string
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'holdfast-lint-'))
  const settings = JSON.parse(readFileSync(join(checkout, 'biome.json'), 'utf8'))
  // A scratch folder has no git, and nothing here is about formatting.
  plant('biome.json', JSON.stringify({ ...settings, vcs: { enabled: false } }))
  cpSync(join(checkout, 'scripts/lint'), join(scratch, 'scripts/lint'), { recursive: true })
})
afterEach(() => {
  rmSync(scratch, { recursive: true, force: true })
})

function plant(path: string, text: string): void {
  mkdirSync(dirname(join(scratch, path)), { recursive: true })
  writeFileSync(join(scratch, path), text)
}

/** `path:line rule` of every error the project's own settings find in what was planted. */
function findings(): readonly string[] {
  const result = spawnSync(
    join(checkout, 'node_modules/.bin/biome'),
    ['lint', '--reporter=json', '--max-diagnostics=none', '--diagnostic-level=error', '.'],
    {
      cwd: scratch,
      encoding: 'utf8',
    },
  )
  const report: { diagnostics: { category: string; location: { path: string; start: { line: number } } }[] } =
    JSON.parse(result.stdout)
  return report.diagnostics
    .map(({ category, location }) => `${location.path}:${location.start.line} ${category.split('/').at(-1)}`)
    .sort()
}

function specifier(from: string, to: string): string {
  const path = relative(dirname(from), to)
  return path.startsWith('.') ? path : `./${path}`
}

describe('layers', () => {
  test('every import of a lower line is an error, every other import is fine', () => {
    const expected: string[] = []
    layers.forEach((importer, i) => {
      plant(`src/${importer}/subject.ts`, 'export const subject: number = 1\n')
      layers.forEach((imported, j) => {
        const file = `src/${importer}/${imported.replace('/', '-')}.ts`
        if (i !== j)
          plant(
            file,
            `import { subject } from '${specifier(file, `src/${imported}/subject.ts`)}'\n\nexport const seen: number = subject\n`,
          )
        if (i < j) expected.push(`${file}:1 noRestrictedImports`)
      })
      const deep = `src/${importer}/deep/er/main.ts`
      plant(
        deep,
        `import { subject } from '${specifier(deep, 'src/main.ts')}'\n\nexport const seen: number = subject\n`,
      )
      expected.push(`${deep}:1 noRestrictedImports`)
    })
    plant('src/main.ts', 'export const subject: number = 1\n')
    plant(
      'src/engine/index.ts',
      "import { subject } from './restore/subject.ts'\nimport { subject as other } from '../sources/subject.ts'\n\nexport const all: number = subject + other\n",
    )
    expected.push('src/engine/index.ts:2 noRestrictedImports')
    expect(findings()).toEqual(expected.sort())
  })

  test.each([
    ["import type { Cli } from '../cli/cli.ts'; export type Seen = Cli"],
    ["export { cli } from '../cli/cli.ts'"],
    ["export * from '../cli/cli.ts'"],
    ["import '../cli/cli.ts'"],
    ["export const seen: unknown = await import('../cli/cli.ts')"],
  ])('however it is written: %s', (text) => {
    plant('src/cli/cli.ts', 'export type Cli = number\nexport const cli: Cli = 1\n')
    plant('src/lib/seen.ts', `${text}\n`)
    expect(findings()).toEqual(['src/lib/seen.ts:1 noRestrictedImports'])
  })

  test('a type that imports by itself, where the rule does not look, is an error everywhere', () => {
    plant('src/lib/other.ts', 'export const other: number = 1\n')
    plant(
      'src/lib/seen.ts',
      "export type Seen = typeof import('./other.ts')\nexport type Too = import('./other.ts').Other\n",
    )
    expect(findings()).toEqual(['src/lib/seen.ts:1 plugin', 'src/lib/seen.ts:2 plugin'])
  })

  test('modules that import each other are an error', () => {
    plant('src/lib/one.ts', "import { two } from './two.ts'\n\nexport const one: number = two\n")
    plant('src/lib/two.ts', "import { three } from './three.ts'\n\nexport const two: number = three\n")
    plant('src/lib/three.ts', "import { one } from './one.ts'\n\nexport const three: number = one\n")
    expect(findings()).toEqual(['one', 'three', 'two'].map((name) => `src/lib/${name}.ts:1 noImportCycles`))
  })
})

describe('time and chance', () => {
  const uses = ['Date.now()', 'new Date()', 'Math.random()', 'performance.now()', 'process.hrtime.bigint()', 'Date.now']

  test.each(uses)('%s is an error outside src/lib', (use) => {
    for (const folder of ['src/engine/storage', 'src/lib/deep', 'bench', 'scripts'])
      plant(`${folder}/a.ts`, `export const a: unknown = ${use}\n`)
    expect(findings()).toEqual([
      'bench/a.ts:1 plugin',
      'scripts/a.ts:1 plugin',
      'src/engine/storage/a.ts:1 plugin',
      'src/lib/deep/a.ts:1 plugin',
    ])
  })

  test('the two modules that give them to all others, tests and conversions are free', () => {
    for (const file of ['src/lib/clock.ts', 'src/lib/random.ts', 'src/cli/a.test.ts']) {
      plant(file, uses.map((use, i) => `export const a${i}: unknown = ${use}\n`).join(''))
    }
    plant('src/cli/a.ts', 'export const a: Date = new Date(5)\nexport const b: number = Date.UTC(2026, 0)\n')
    expect(findings()).toEqual([])
  })
})

describe('promises', () => {
  test('one that nobody waits for is an error', () => {
    plant('src/lib/a.ts', 'async function a(): Promise<void> {}\n\nexport function b(): void {\n  a()\n}\n')
    expect(findings()).toEqual(['src/lib/a.ts:4 noFloatingPromises'])
  })
})
