import { dirname } from 'node:path'

export interface Leftover {
  readonly path: string
  readonly line: number
  readonly what: string
}

interface Rule {
  readonly what: string
  /** Files it applies to. */
  readonly paths: RegExp
  readonly pattern: RegExp
}

const code = /^(src|bench|scripts|test|bin|\.ci|web)\//
const everything = /^/

// Written in two halves where this file would find itself.
const rules: readonly Rule[] = [
  { what: 'unfinished work', paths: code, pattern: new RegExp(`\\b(TO${'DO'}|FIX${'ME'}|XX${'X'}|HA${'CK'})\\b`) },
  {
    what: 'a test that is switched off or runs alone',
    paths: code,
    pattern: /\b(it|test|describe)\.(skip|only|todo)\(\s*['"`]/,
  },
  { what: 'a shell given a string', paths: code, pattern: new RegExp(`\\bshell: ${'true'}\\b`) },
  { what: 'a conflict of a merge', paths: everything, pattern: /^(<{7} |>{7} )/ },
  {
    what: 'a package from another place than the public registry',
    paths: /(^|\/)(package-lock\.json|\.npmrc)$/,
    pattern: /("resolved": "|registry *= *)[a-z+]+:\/\/(?!registry\.npmjs\.org\/)/,
  },
]

/** Folders in which many machines keep all kinds of things: to name them gives nothing away. */
const common: ReadonlySet<string> = new Set([
  '/',
  '/tmp',
  '/var/tmp',
  '/root',
  '/home',
  '/opt',
  '/srv',
  '/usr/src',
  '/usr/local/src',
])

/**
 * What must not be in the project: unfinished work, tests switched off, shell strings, packages from private registries, and paths of the
 * machine it was written on (`checkout` is where it lies: its parent folder and all below are such paths).
 */
export function findLeftovers(path: string, text: string, checkout: string): readonly Leftover[] {
  const parent = dirname(checkout)
  const place = common.has(parent) ? checkout : parent
  const here: Rule = {
    what: 'a path of the machine this was written on',
    paths: everything,
    pattern: new RegExp(`(?<![\\w./~-])${place.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}(?![\\w-])`),
  }
  const applicable = [...rules, here].filter((rule) => rule.paths.test(path))
  return text
    .split('\n')
    .flatMap((line, i) =>
      applicable.filter(({ pattern }) => pattern.test(line)).map(({ what }) => ({ path, line: i + 1, what })),
    )
}
